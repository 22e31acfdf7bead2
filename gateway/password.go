package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// PasswordFile returns a [Config].PasswordFunc that reads a file before each log-in, so that a
// changed password needs no restart. One line end after the password is removed. While the file is
// missing or empty, as during a write, the last password is used. It returns an error if there is
// none. The result ignores ctx and is safe for concurrent use.
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
		err = setupError{fmt.Errorf("password: %w", err)}
		return "", &Error{Op: opLogin, unsent: true, cause: err}
	}
	return password, nil
}
