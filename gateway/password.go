package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// PasswordFile returns a [Config.PasswordFunc] that reads a file before each log-in: a password that changes is taken up
// without a restart. One line end after the password is cut off. A file that is missing or empty, as it may be for a moment
// while it is written, leaves the last password in use; with none before it is an error. It is safe for concurrent use.
func PasswordFile(name string) func(context.Context) (Secret, error) {
	var mu sync.Mutex
	var last Secret
	return func(context.Context) (Secret, error) {
		b, err := os.ReadFile(name)
		password := Secret(strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil && password != "":
			last = password
		case last != "":
		case err != nil:
			return "", err
		default:
			return "", fmt.Errorf("%s: %w", name, errNoPassword)
		}
		return last, nil
	}
}

var errNoPassword = errors.New("no password")

// password returns the one to log in with now.
func (c *Client) password(ctx context.Context) (Secret, error) {
	if c.cfg.PasswordFunc == nil {
		return c.cfg.Password, nil
	}
	password, err := c.cfg.PasswordFunc(ctx)
	switch {
	case err == nil && password == "":
		err = errNoPassword
	case err == nil && badCredentials(c.cfg.Username, password) != "":
		err = errors.New("a password that is not UTF-8")
	}
	if err != nil {
		return "", &Error{Op: opLogin, unsent: true, cause: setupError{fmt.Errorf("password: %w", err)}}
	}
	return password, nil
}
