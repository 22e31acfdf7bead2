package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Sentinels for [errors.Is]. An [*Error] matches those that describe it; one error can match
// several.
var (
	// ErrUnavailable: no endpoint could serve the request at the time. It was unreachable,
	// overloaded, without a leader, or did not answer in time.
	ErrUnavailable = errors.New("unavailable")
	// ErrUncertain: a write was sent, and it is unknown whether it was, or will be, applied. Look
	// at the key, or write under a guard, before repeating it.
	ErrUncertain = errors.New("outcome unknown")
	// ErrInvalid: the request cannot be right, according to the client or the server.
	ErrInvalid = errors.New("invalid request")
	// ErrCompacted: the requested revision has been compacted; read again and continue from there.
	ErrCompacted = errors.New("revision compacted")
	// ErrFutureRevision: the requested revision is above the cluster's, as after a restore from a
	// backup.
	ErrFutureRevision = errors.New("future revision")
	// ErrLeaseNotFound: the lease has expired or was revoked.
	ErrLeaseNotFound = errors.New("lease not found")
	// ErrUnauthenticated: credentials are missing, wrong or outdated, after one renewal of the
	// token.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrPermissionDenied: the user has no permission for the call or the keys.
	ErrPermissionDenied = errors.New("permission denied")
	// ErrProtocol: the answer is not from an etcd gateway, or not as documented.
	ErrProtocol = errors.New("not an etcd gateway answer")
	// ErrResponseTooLarge: an answer is larger than [Config].MaxResponse. Read less at once, with
	// [Limit] or [Client.Pages], or raise the bound.
	ErrResponseTooLarge = errors.New("answer too large")
	// ErrClusterMismatch: two endpoints belong to different clusters.
	ErrClusterMismatch = errors.New("endpoints belong to different clusters")
	// ErrRevisionRegressed: the cluster's revision moved backwards, as after a restore from a
	// backup. Fences made before and after it must not be compared.
	ErrRevisionRegressed = errors.New("cluster revision went backwards")
	// ErrNoSpace: etcd's database is full. Deletions still work. A write that returns it also
	// matches ErrUncertain, because etcd applies the writes that were in flight when the space ran
	// out, and reports the error all the same.
	ErrNoSpace = errors.New("database space exceeded")
	// ErrConflict: the key was not as [Client.Create], [Client.PutIfExists],
	// [Client.CompareAndSwap] or [Client.UpdateRevision] required, and nothing was written. See
	// [ConflictError].
	ErrConflict = errors.New("key is not as required")
	// ErrNotFound: the member, user, role or permission that a call names does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists: the member, user or role that a call would create exists already.
	ErrExists = errors.New("exists already")
	// ErrAuthNotEnabled: the call needs etcd's auth to be on.
	ErrAuthNotEnabled = errors.New("authentication is not enabled")
	// ErrCorrupt: the data received differs from the data sent, or is incomplete.
	ErrCorrupt = errors.New("data corrupt")
	// ErrOldCluster: an endpoint runs an etcd that is too old for [Config].RejectOldCluster.
	ErrOldCluster = errors.New("etcd version too old")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client closed")
)

// Code is a gRPC status code, as the gateway reports it.
type Code int

// The codes that etcd uses.
const (
	CodeCanceled           Code = 1
	CodeUnknown            Code = 2
	CodeInvalidArgument    Code = 3
	CodeDeadlineExceeded   Code = 4
	CodeNotFound           Code = 5
	CodePermissionDenied   Code = 7
	CodeResourceExhausted  Code = 8
	CodeFailedPrecondition Code = 9
	CodeOutOfRange         Code = 11
	CodeUnimplemented      Code = 12
	CodeInternal           Code = 13
	CodeUnavailable        Code = 14
	CodeDataLoss           Code = 15
	CodeUnauthenticated    Code = 16
)

// Error is the failure of one request. It never holds keys, values or credentials.
type Error struct {
	Op       string // "put", "txn", "watch", …
	Endpoint string // of the last attempt; empty if none was made
	Code     Code   // 0 when the server did not answer with one
	Message  string // the server's text, shortened, and quoted unless plain
	// CompactRevision is set when ErrCompacted ended a watch. It is the first revision that can
	// still be watched from. The events between the last one delivered and it are lost: read again.
	CompactRevision int64

	uncertain bool // a write that may have been applied
	unsent    bool // it cannot have reached etcd
	timedOut  bool // the attempt's own time ended
	cutOff    bool // the caller's context ended it
	wordless  bool // it was sent, and not answered by etcd
	cause     error
}

// Error returns "gateway: <op>: <endpoint>: <message>: <cause>"; empty parts are left out.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("gateway: " + e.Op)
	if e.Endpoint != "" {
		b.WriteString(": " + e.Endpoint)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.cause != nil {
		b.WriteString(": " + oneLine(e.cause))
	}
	if e.uncertain {
		b.WriteString(" (outcome unknown)")
	}
	return b.String()
}

// Unwrap returns the cause: a context error, a transport's error or one of the sentinels.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether the sentinel describes the error.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUncertain:
		return e.uncertain
	case ErrUnavailable:
		return !e.setup() && (e.Code == CodeUnavailable || e.Code == CodeDeadlineExceeded ||
			e.Code == CodeUnknown || e.Code == CodeInternal || e.says("too many requests"))
	case ErrInvalid:
		return e.Code == CodeInvalidArgument && !e.aboutToken()
	case ErrCompacted:
		return e.Code == CodeOutOfRange && e.says("has been compacted")
	case ErrFutureRevision:
		return e.Code == CodeOutOfRange && e.says("future revision")
	case ErrLeaseNotFound:
		return e.Code == CodeNotFound && e.says("requested lease not found")
	case ErrUnauthenticated:
		return e.aboutToken() || e.says("authentication failed")
	case ErrPermissionDenied:
		return e.Code == CodePermissionDenied
	case ErrNotFound:
		return e.saysAny("member not found", "user name not found", "role name not found",
			"is not granted to the")
	case ErrExists:
		return e.saysAny("name already exists", "Peer URLs already exists",
			"member ID already exist")
	case ErrAuthNotEnabled:
		return e.Code == CodeFailedPrecondition && e.says("authentication is not enabled")
	case ErrNoSpace:
		return e.Code == CodeResourceExhausted && e.says("database space exceeded")
	}
	return false
}

func (e *Error) says(text string) bool { return strings.Contains(e.Message, text) }

func (e *Error) saysAny(texts ...string) bool { return slices.ContainsFunc(texts, e.says) }

// noSuchPath reports that the server has no such call, or has it at another path.
func (e *Error) noSuchPath() bool { return e.unsent && errors.Is(e, errors.ErrUnsupported) }

// rawCode returns the code that an error of the auth store has elsewhere. etcd 3.5 returns such
// errors from calls of maintenance without it.
func rawCode(code Code, message string) Code {
	if code != CodeUnknown {
		return code
	}
	switch message {
	case "auth: permission denied":
		return CodePermissionDenied
	case "auth: invalid auth token", "auth: revision in header is old":
		return CodeUnauthenticated
	case "auth: user name is empty":
		return CodeInvalidArgument
	}
	return code
}

// aboutToken reports whether a new token may help. etcd returns two of the three errors as invalid
// arguments.
func (e *Error) aboutToken() bool {
	return e.Code == CodeUnauthenticated ||
		e.Code == CodeInvalidArgument &&
			(e.says("user name is empty") || e.says("revision of auth store is old"))
}

// onLearner reports that the member does not vote yet and serves hardly any request. The code of
// the error differs between versions.
func (e *Error) onLearner() bool { return e.says("not supported for learner") }

// refused reports that the request had no effect and never will have.
func (e *Error) refused() bool {
	if e.unsent {
		return true
	}
	switch e.Code {
	case CodeInvalidArgument, CodeNotFound, CodePermissionDenied, CodeFailedPrecondition,
		CodeOutOfRange, CodeUnimplemented, CodeUnauthenticated:
		return true
	case CodeResourceExhausted:
		return !errors.Is(e, ErrNoSpace)
	case CodeUnavailable:
		return e.Message == "etcdserver: no leader" || e.says("unhealthy cluster") || e.onLearner()
	case CodeUnknown:
		return e.says("not a primary lessor")
	case CodeCanceled, CodeDeadlineExceeded, CodeInternal, CodeDataLoss:
		return false
	}
	return false
}

// elsewhere reports whether another endpoint, or the same one later, may succeed.
func (e *Error) elsewhere() bool {
	if e.setup() {
		return false
	}
	switch e.Code {
	case CodeUnavailable, CodeDeadlineExceeded, CodeCanceled, CodeUnknown, CodeInternal:
		return true
	case CodeResourceExhausted:
		return e.says("too many requests")
	case CodeFailedPrecondition:
		return e.onLearner()
	case CodeInvalidArgument, CodeNotFound, CodePermissionDenied, CodeOutOfRange,
		CodeUnimplemented, CodeDataLoss, CodeUnauthenticated:
		return false
	}
	return false
}

// asUncertain returns the same error for a write that may have been applied.
func (e *Error) asUncertain() *Error {
	u := *e
	u.uncertain = true
	return &u
}

func invalid(op, format string, args ...any) *Error {
	return &Error{Op: op, Message: fmt.Sprintf(format, args...), Code: CodeInvalidArgument}
}

const maxMessage = 512

// clean makes a server's text fit for a log line.
func clean(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	if strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
