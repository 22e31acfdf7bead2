package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// Some errors of etcd arrive without their code, from older gateways and through proxies that
// rewrite answers. Their text shows that they are etcd's.

var etcdWords = []string{
	"etcdserver: ", "etcdserver/", "etcdclient: ", "auth: ", "raft: ", "mvcc: ", "grpc: ",
	"transport: ", "connection error: ",
}

var codeNames = map[string]Code{
	"Canceled": CodeCanceled, "Unknown": CodeUnknown, "InvalidArgument": CodeInvalidArgument,
	"DeadlineExceeded": CodeDeadlineExceeded, "NotFound": CodeNotFound,
	"PermissionDenied":  CodePermissionDenied,
	"ResourceExhausted": CodeResourceExhausted, "FailedPrecondition": CodeFailedPrecondition,
	"OutOfRange": CodeOutOfRange, "Unimplemented": CodeUnimplemented, "Internal": CodeInternal,
	"Unavailable": CodeUnavailable, "DataLoss": CodeDataLoss,
	"Unauthenticated": CodeUnauthenticated,
}

// codeOfText has the errors that callers, and the client itself, distinguish by their codes.
var codeOfText = map[Code][]string{
	CodeInvalidArgument: {
		"user name is empty", "revision of auth store is old", "authentication failed",
		"request is too large", "duplicate key given", "too many operations",
		"key is not provided",
	},
	CodeNotFound:          {"requested lease not found", "member not found"},
	CodePermissionDenied:  {"permission denied"},
	CodeResourceExhausted: {"database space exceeded"},
	CodeFailedPrecondition: {
		"authentication is not enabled", "lease already exists", "name already exists",
		"not leader",
	},
	CodeOutOfRange: {"has been compacted", "required revision is a future revision"},
	CodeUnavailable: {
		"no leader", "unhealthy cluster", "leader changed", "request timed out", "server stopped",
	},
	CodeUnauthenticated: {"invalid auth token", "revision in header is old"},
}

var codeOfStatus = map[int]Code{
	http.StatusBadRequest: CodeInvalidArgument, http.StatusUnauthorized: CodeUnauthenticated,
	http.StatusForbidden: CodePermissionDenied, http.StatusNotFound: CodeNotFound,
	http.StatusConflict: CodeFailedPrecondition, http.StatusNotImplemented: CodeUnimplemented,
	http.StatusPreconditionFailed: CodeFailedPrecondition,
	http.StatusTooManyRequests:    CodeResourceExhausted,
	http.StatusServiceUnavailable: CodeUnavailable, http.StatusBadGateway: CodeUnavailable,
	http.StatusGatewayTimeout: CodeDeadlineExceeded,
}

// codeless returns the code that an error has elsewhere, or CodeUnknown. It reports false for texts
// that are not etcd's.
func codeless(text string, status int) (Code, string, bool) {
	if rest, ok := strings.CutPrefix(text, "rpc error: code = "); ok {
		if name, desc, ok := strings.Cut(rest, " desc = "); ok && codeNames[name] != 0 {
			return rawCode(codeNames[name], desc), desc, true
		}
	}
	if !slices.ContainsFunc(etcdWords, func(w string) bool { return strings.HasPrefix(text, w) }) {
		return 0, "", false
	}
	for code, texts := range codeOfText {
		if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(text, t) }) {
			return code, text, true
		}
	}
	if code := codeOfStatus[status]; code != 0 {
		return code, text, true
	}
	return CodeUnknown, text, true
}
