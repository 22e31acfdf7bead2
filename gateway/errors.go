package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Sentinels for [errors.Is]. An [*Error] matches those that describe it; one error can match several.
var (
	// ErrUnavailable: no endpoint could serve the request at the time: not reachable, no leader, timed out, overloaded.
	ErrUnavailable = errors.New("unavailable")
	// ErrUncertain: a write was sent and nobody knows whether it was, or will be, applied. Look at the key, or write
	// under a guard, before doing it again.
	ErrUncertain = errors.New("outcome unknown")
	// ErrInvalid: the request cannot be right, here or on the server.
	ErrInvalid = errors.New("invalid request")
	// ErrCompacted: the revision asked for has been compacted away; read again and go on from there.
	ErrCompacted = errors.New("revision compacted")
	// ErrLeaseNotFound: the lease has expired or was revoked.
	ErrLeaseNotFound = errors.New("lease not found")
	// ErrUnauthenticated: no, wrong or outdated credentials, after one renewal of the token.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrPermissionDenied: the user may not touch this key range.
	ErrPermissionDenied = errors.New("permission denied")
	// ErrProtocol: what answered is not an etcd gateway, or not one that speaks as documented.
	ErrProtocol = errors.New("not an etcd gateway answer")
	// ErrClusterMismatch: two endpoints belong to different clusters.
	ErrClusterMismatch = errors.New("endpoints belong to different clusters")
	// ErrRevisionRegressed: the cluster's revision went backwards, as after a restore from a backup. Fences made
	// before and after it must not be compared.
	ErrRevisionRegressed = errors.New("cluster revision went backwards")
	// ErrNoSpace: etcd's database is full. Deletions still work. A write that met it is ErrUncertain as well: etcd
	// applies what was on its way when the space ran out, and reports the error all the same.
	ErrNoSpace = errors.New("database space exceeded")
	// ErrConflict: the key was not as [Client.Create], [Client.Update], [Client.Replace] or [Client.ReplaceAt] required,
	// and nothing was written. See [ConflictError].
	ErrConflict = errors.New("key is not as required")
	// ErrNotFound: the member, user, role or permission that a call names does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists: the member, user or role that a call would make exists.
	ErrExists = errors.New("exists already")
	// ErrAuthNotEnabled: the call makes sense only with etcd's auth on.
	ErrAuthNotEnabled = errors.New("authentication is not enabled")
	// ErrCorrupt: what has come is not what was sent, or not all of it.
	ErrCorrupt = errors.New("data corrupt")
	// ErrOldCluster: an endpoint runs an etcd that is too old for [Config.RejectOldCluster].
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

// Error is what went wrong with one request. It never holds keys, values or credentials.
type Error struct {
	Op       string // "put", "txn", "watch", …
	Endpoint string // where the last attempt went; empty if none was made
	Code     Code   // 0 when the server did not answer with one
	Message  string // the server's own words, shortened and quoted where they are not plain text
	// CompactRevision is, when ErrCompacted ended a watch, the first revision that can still be watched from. What
	// happened between the last event and it is lost: read again.
	CompactRevision int64

	uncertain bool // a write whose fate nobody knows
	unsent    bool // it cannot have reached etcd
	timedOut  bool // the attempt's own time was over
	cutOff    bool // the caller's context ended it
	wordless  bool // it was sent, and what answered, if anything, is not etcd
	cause     error
}

// Error formats as "gateway: <op>: <endpoint>: <what>".
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

// Unwrap gives the cause: a context error, a transport's error, one of the sentinels.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether the error is of the kind that a sentinel names.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUncertain:
		return e.uncertain
	case ErrUnavailable:
		return !e.setup() && (e.Code == CodeUnavailable || e.Code == CodeDeadlineExceeded || e.Code == CodeUnknown ||
			e.Code == CodeInternal || e.says("too many requests"))
	case ErrInvalid:
		return e.Code == CodeInvalidArgument && !e.aboutToken()
	case ErrCompacted:
		return e.Code == CodeOutOfRange && e.says("has been compacted")
	case ErrLeaseNotFound:
		return e.Code == CodeNotFound && e.says("requested lease not found")
	case ErrUnauthenticated:
		return e.aboutToken() || e.says("authentication failed")
	case ErrPermissionDenied:
		return e.Code == CodePermissionDenied
	case ErrNotFound:
		return e.saysAny("member not found", "user name not found", "role name not found", "is not granted to the")
	case ErrExists:
		return e.saysAny("name already exists", "Peer URLs already exists", "member ID already exist")
	case ErrAuthNotEnabled:
		return e.Code == CodeFailedPrecondition && e.says("authentication is not enabled")
	case ErrNoSpace:
		return e.Code == CodeResourceExhausted && e.says("database space exceeded")
	}
	return false
}

func (e *Error) says(text string) bool { return strings.Contains(e.Message, text) }

func (e *Error) saysAny(texts ...string) bool { return slices.ContainsFunc(texts, e.says) }

// noSuchPath: what answered has no such call, or has it elsewhere.
func (e *Error) noSuchPath() bool { return e.unsent && errors.Is(e, errors.ErrUnsupported) }

// rawCode gives the errors of the auth store that etcd 3.5 passes on as they are, from calls of maintenance, the code that
// they have everywhere else.
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

// aboutToken: a new token may cure it. etcd reports two of the three as invalid arguments.
func (e *Error) aboutToken() bool {
	return e.Code == CodeUnauthenticated ||
		e.Code == CodeInvalidArgument && (e.says("user name is empty") || e.says("revision of auth store is old"))
}

// onLearner: the member does not vote yet and serves next to nothing. Its code differs between versions.
func (e *Error) onLearner() bool { return e.says("not supported for learner") }

// refused says that the request had no effect and never will have.
func (e *Error) refused() bool {
	if e.unsent {
		return true
	}
	switch e.Code {
	case CodeInvalidArgument, CodeNotFound, CodePermissionDenied, CodeFailedPrecondition, CodeOutOfRange,
		CodeUnimplemented, CodeUnauthenticated:
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

// elsewhere says that another endpoint, or the same one later, may do better.
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
	case CodeInvalidArgument, CodeNotFound, CodePermissionDenied, CodeOutOfRange, CodeUnimplemented, CodeDataLoss,
		CodeUnauthenticated:
		return false
	}
	return false
}

// asUncertain is the same error for a write, whose fate it leaves open.
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
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
