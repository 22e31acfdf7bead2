package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
)

// setupError is a fault of the set-up, not of the moment: another endpoint may work, but a retry
// does not help.
type setupError struct{ error }

func (s setupError) Unwrap() error { return s.error }

// setup reports whether the error is a fault of the set-up.
func (e *Error) setup() bool { return errors.As(e.cause, new(setupError)) }

// setupAlerts are the alerts by which a TLS server rejects the identity, the certificate or the
// wishes of a client. The type of an alert is crypto/tls's own, so that only its text can be
// compared.
var setupAlerts = alertTexts(
	40, // handshake failure: no common cipher, or no certificate
	// no, bad, unsupported, revoked, expired, unknown certificate; unknown authority
	41, 42, 43, 44, 45, 46, 48,
	47, 49, 51, // illegal parameter; access denied; a signature that does not fit
	70, 71, 86, // protocol version; insufficient security; inappropriate fallback
	// extensions; unrecognized name; status and hash of the certificate
	109, 110, 111, 112, 113, 114,
	115, 116, 120, // unknown identity; certificate required; no application protocol
)

func alertTexts(codes ...tls.AlertError) (texts []string) {
	for _, code := range codes {
		texts = append(texts, code.Error())
	}
	return texts
}

// tlsMistake distinguishes wrong certificates and protocols from broken connections.
func tlsMistake(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		netErr *net.OpError
		shake  handshakeError
	)
	switch {
	case errors.As(err, &verify):
		return true
	case errors.As(err, &record) && !errors.As(err, &shake):
		return record.Conn != nil // nil once TLS has begun: a broken connection, then
	case errors.As(err, &netErr) && netErr.Op == "remote error":
		return slices.Contains(setupAlerts, netErr.Err.Error())
	case errors.As(err, &shake):
		// The other errors are breaks and time-outs, and objections of the client itself.
		broken := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, io.ErrClosedPipe)
		return !broken && !errors.As(err, &netErr) && !errors.Is(err, errSlowHandshake)
	}
	return false
}

// handshakeError says that a TLS handshake was not completed.
type handshakeError struct{ error }

func (h handshakeError) Unwrap() error { return h.error }

var errSlowHandshake = errors.New("TLS handshake timeout")

// The gateway of a member is a client of the member, over TLS where clients use it, with the
// server's own certificate.
var errGatewayTLS = errors.New("etcd's gateway cannot connect to etcd: " +
	"with --client-cert-auth the server certificate must be good for clients too (clientAuth), " +
	"valid, and signed by an authority of --trusted-ca-file")

// explain looks in an answer of etcd's for the texts of a gateway without a connection to etcd. The
// call was then not forwarded. Some of these texts name a fault of the set-up.
func (e *Error) explain() *Error {
	if e.Code != CodeUnavailable && e.Code != CodeUnknown || e.says("error reading from server") {
		return e
	}
	if !e.saysAny("connection error: desc = ", "authentication handshake failed",
		"error reading server preface", "while dialing") {
		return e
	}
	e.unsent = true
	_, fault, _ := strings.Cut(e.Message, "tls: ")
	alert := "tls: " + strings.TrimRight(fault, `"\`)
	switch {
	case e.says("x509: "), e.says("remote error: tls: ") && slices.Contains(setupAlerts, alert),
		e.says("tls: ") && !e.says("remote error: tls: ") && !e.says("handshake timeout"):
		e.cause = setupError{errGatewayTLS}
	}
	return e
}

// explainAt is explain for the answer of an endpoint. When the member closes the connection of its
// gateway during a handshake, the gateway reports only that. It is the set-up if the endpoint has
// never served anything.
func (e *Error) explainAt(ep *endpoint) *Error {
	broken := strings.HasPrefix(e.Message, "write tcp ") || e.says("error reading server preface: ")
	if e.Code != CodeUnavailable || !broken || !tlsClass(ep.url) {
		return e.explain()
	}
	e.unsent = true
	if e = e.explain(); e.cause == nil && ep.member.Load() == 0 {
		e.cause = setupError{errGatewayTLS}
	}
	return e
}
