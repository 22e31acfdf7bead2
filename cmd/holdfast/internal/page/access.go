package page

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// policy lets the page use its own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// guard refuses requests that next must not see. It sets the headers of all answers.
func (s *Server) guard(next http.Handler, certificates bool) http.Handler {
	crossOrigin := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !s.knowsHost(r.Host):
			// A name of another site that resolves to this address (DNS rebinding) would give the
			// site's scripts the origin of this page.
			http.Error(w, "this host name is not served; see holdfast ui --host",
				http.StatusMisdirectedRequest)
		case s.opt.Token == "" && !certificates && !isLoopback(r.RemoteAddr):
			http.Error(w, "only this machine is served", http.StatusForbidden)
		case s.opt.Token == "" && !certificates && isForwarded(r):
			http.Error(w, "a proxy has forwarded this request, so a token is needed",
				http.StatusForbidden)
		case s.opt.Token != "" && !s.presents(r):
			h.Set("WWW-Authenticate", `Basic realm="holdfast: any user, the token as the password"`)
			http.Error(w, "a token is needed", http.StatusUnauthorized)
		default:
			crossOrigin.ServeHTTP(w, r)
		}
	})
}

// knowsHost reports whether a Host header names this server. An IP address does, because no other
// site can have it as its name.
func (s *Server) knowsHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || slices.Contains(s.opt.Hosts, host)
}

// presents reports whether a request has the token.
func (s *Server) presents(r *http.Request) bool {
	_, token, ok := r.BasicAuth()
	if !ok {
		token, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	return ok && subtle.ConstantTimeCompare([]byte(token), []byte(s.opt.Token)) == 1
}

// isForwarded reports whether a proxy says that it has forwarded a request. The client may then be
// on another machine, although the request comes from this one.
func isForwarded(r *http.Request) bool {
	return slices.ContainsFunc([]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"},
		func(header string) bool { return r.Header.Get(header) != "" })
}

// isLoopback reports whether an address with a port is of this machine only.
func isLoopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// Loopback reports whether an address to listen on is certainly of this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || isLoopback(address))
}
