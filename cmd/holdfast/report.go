package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// warn prints a message that does not change the exit status.
func (a *app) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.complain(map[string]any{"warning": text}, text)
}

// complain prints the object with --json, else the text, to the standard error.
func (a *app) complain(object map[string]any, text string) {
	// An error here has nowhere to be reported.
	if a.json {
		_ = printJSON(os.Stderr, object)
	} else {
		fmt.Fprintln(os.Stderr, "holdfast: "+clean(text))
	}
}

// report prints the error and returns the exit status.
func (a *app) report(err error) int {
	code := codeOf(err)
	var quiet *childError
	if err == nil || errors.As(err, &quiet) || outputClosed(err) {
		return code
	}
	text := a.explain(err)
	object := map[string]any{"code": code}
	if part, ok := errors.AsType[*partError](err); ok {
		object["put"] = part.put
		if !strings.HasSuffix(text, part.note()) {
			text += part.note()
		}
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		object["holders"] = refused.holders
	}
	object["error"] = text
	a.complain(object, text)
	return code
}

// explain returns the error's text on one line, with the endpoints that were tried.
func (a *app) explain(err error) string {
	late, ok := errors.AsType[*noAnswerError](err)
	if !ok || a.client == nil {
		return err.Error()
	}
	var tried []string
	for _, ep := range a.client.Endpoints() {
		text := ep.URL
		if ep.Err != nil {
			text += " (" + reason(ep.Err) + ")"
		}
		tried = append(tried, text)
	}
	return fmt.Sprintf("cannot reach etcd within %v at %s", late.limit, strings.Join(tried, ", "))
}

// reason returns the text of the innermost error, because the outer ones repeat the endpoint.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
