package page

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, "BREAK",
}

// paths returns the paths of all routes, with break, and some that do not exist.
func (s *Server) paths() []string {
	all := []string{"/break", "/index.html", "/web/", "/other", "/../break", "/events/x"}
	for pattern := range s.routes() {
		_, path, _ := strings.Cut(pattern, " ")
		path = strings.TrimSuffix(path, "{$}")
		all = append(all, path, path+"?id=a&lease=1&name=a&fence=1")
	}
	return all
}

// request returns the request that breaks the hold of the stage.
func (s *stage) request() string {
	s.Helper()
	text, err := json.Marshal(breakRequest{
		Name: "a", Key: s.lock.Key()[len("a/"):], Fence: s.lock.Fence(), Reason: "on fire",
	})
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// asPage makes a request that the page makes.
func (s *stage) asPage(r *http.Request) {
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(tokenHeader, s.csrf)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
}

// TestNothingIsChangedWithoutAllowBreak by any route and method.
func TestNothingIsChangedWithoutAllowBreak(t *testing.T) {
	run(t, loopback, Options{}, func(s *stage) {
		before := s.etcd.Revision()
		tried := 0
		for _, path := range s.paths() {
			for _, method := range methods {
				tried++
				w := s.ask(method, path, s.request(), s.asPage)
				safe := method == http.MethodGet || method == http.MethodHead
				if w.Code == http.StatusOK && !safe {
					t.Errorf("%s %s: %d", method, path, w.Code)
				}
			}
		}
		if after := s.etcd.Revision(); after != before || s.lock.Err() != nil {
			t.Errorf("revision %d, was %d; the lock: %v", after, before, s.lock.Err())
		}
		if tried < 100 {
			t.Errorf("only %d requests", tried)
		}
		if u := s.first(); u.Hello == nil || u.Hello.AllowBreak || u.Hello.CSRF != "" {
			t.Errorf("hello: %+v", u.Hello)
		}
	})
}

// TestABreakIsOnlyThePages: a request of another site, or without the page's text, changes
// nothing. The page's breaks the hold.
func TestABreakIsOnlyThePages(t *testing.T) {
	run(t, loopback, Options{AllowBreak: true}, func(s *stage) {
		before := s.etcd.Revision()
		header := func(name, value string) func(*http.Request) {
			return func(r *http.Request) {
				s.asPage(r)
				r.Header.Set(name, value)
			}
		}
		change := func(from, to string) string { return strings.Replace(s.request(), from, to, 1) }
		for name, row := range map[string]struct {
			body   string
			change func(*http.Request)
			code   int
		}{
			"without the page's text": {s.request(), header(tokenHeader, ""), http.StatusForbidden},
			"with another text":       {s.request(), header(tokenHeader, "x"), http.StatusForbidden},
			"as a form": {
				s.request(), header("Content-Type", "text/plain"), http.StatusUnsupportedMediaType,
			},
			"of another site": {
				s.request(), header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden,
			},
			"of another origin": {s.request(), func(r *http.Request) {
				s.asPage(r)
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "http://evil.example")
			}, http.StatusForbidden},
			"without a reason": {change("on fire", " "), s.asPage, http.StatusBadRequest},
			"of another name":  {change(`"name":"a"`, `"name":"b"`), s.asPage, http.StatusNotFound},
			"of another key":   {change(`"key":"`, `"key":"1`), s.asPage, http.StatusConflict},
			"of another fence": {change(`"fence":`, `"fence":1`), s.asPage, http.StatusConflict},
			"no JSON":          {"x", s.asPage, http.StatusBadRequest},
			"too large":        {strings.Repeat(" ", 1<<20), s.asPage, http.StatusBadRequest},
		} {
			if w := s.ask(http.MethodPost, "/break", row.body, row.change); w.Code != row.code {
				t.Errorf("%s: %d, want %d: %s", name, w.Code, row.code, w.Body)
			}
		}
		for _, path := range s.paths() {
			for _, method := range methods {
				if !strings.HasPrefix(path, "/break") || method != http.MethodPost {
					s.ask(method, path, s.request(), s.asPage)
				}
			}
		}
		if after := s.etcd.Revision(); after != before {
			t.Fatalf("revision %d, was %d", after, before)
		}
		if u := s.first(); u.Hello == nil || u.Hello.CSRF != s.csrf {
			t.Errorf("hello: %+v", u.Hello)
		}
		w := s.ask(http.MethodPost, "/break", s.request(), s.asPage)
		<-s.lock.Context().Done()
		if err := s.lock.Err(); w.Code != http.StatusNoContent || err == nil {
			t.Errorf("%d: %s; the lock: %v", w.Code, w.Body, err)
		}
	})
}

// TestAnotherSiteCannotTakeOurAddress: a host that is neither an address nor known is refused.
func TestAnotherSiteCannotTakeOurAddress(t *testing.T) {
	run(t, loopback, Options{Hosts: []string{"ops.example"}}, func(s *stage) {
		for host, code := range map[string]int{
			"127.0.0.1:7379": http.StatusOK, "localhost:7379": http.StatusOK, "[::1]:7379": http.StatusOK,
			"[::1]": http.StatusOK, "LOCALHOST": http.StatusOK, "ops.example:7379": http.StatusOK,
			"OPS.example": http.StatusOK, "10.1.2.3": http.StatusOK,
			"evil.example:7379":      http.StatusMisdirectedRequest,
			"localhost.evil.example": http.StatusMisdirectedRequest,
			"127.0.0.1.evil.example": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
		} {
			w := s.ask(http.MethodGet, "/name?id=a", "", func(r *http.Request) { r.Host = host })
			if w.Code != code {
				t.Errorf("%q: %d, want %d", host, w.Code, code)
			}
		}
	})
}

// TestOnlyLoopbackWithoutAToken: another address is neither served nor answered.
func TestOnlyLoopbackWithoutAToken(t *testing.T) {
	run(t, loopback, Options{}, func(s *stage) {
		for _, from := range []string{
			"192.0.2.1:99", "[2001:db8::1]:99", "[::ffff:192.0.2.1]:99", "", "@",
		} {
			for _, path := range s.paths() {
				w := s.ask(http.MethodGet, path, "", func(r *http.Request) { r.RemoteAddr = from })
				if w.Code != http.StatusForbidden {
					t.Errorf("%s from %q: %d", path, from, w.Code)
				}
			}
		}
		for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
			w := s.ask(http.MethodGet, "/", "", func(r *http.Request) { r.Header.Set(header, "192.0.2.1") })
			if w.Code != http.StatusForbidden {
				t.Errorf("through a proxy with %s: %d", header, w.Code)
			}
		}
		w := s.ask(http.MethodGet, "/", "", func(r *http.Request) {
			r.RemoteAddr = "[::ffff:127.0.0.1]:99"
		})
		if w.Code != http.StatusOK {
			t.Errorf("from loopback: %d", w.Code)
		}
	})
	for _, address := range []string{"0.0.0.0:7379", "[::]:7379", "192.0.2.1:7379", "name:7379"} {
		if _, err := newServer(t.Context(), address, Options{}); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := newServer(t.Context(), loopback, Options{Token: "short"}); err == nil {
		t.Error("a short token")
	}
}

// TestATokenIsNeededForEverything, on loopback too.
func TestATokenIsNeededForEverything(t *testing.T) {
	const token = "0123456789abcdef"
	run(t, "0.0.0.0:7379", Options{Token: token}, func(s *stage) {
		for _, path := range s.paths() {
			for name, give := range map[string]func(*http.Request){
				"none":      nil,
				"wrong":     func(r *http.Request) { r.SetBasicAuth("x", token+"x") },
				"as a user": func(r *http.Request) { r.SetBasicAuth(token, "") },
				"bearer":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") },
			} {
				w := s.ask(http.MethodGet, path, "", give)
				if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("%s, %s: %d", path, name, w.Code)
				}
			}
		}
		for _, give := range []func(*http.Request){
			func(r *http.Request) { r.SetBasicAuth("anybody", token) },
			func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) },
		} {
			w := s.ask(http.MethodGet, "/name?id=a", "", func(r *http.Request) {
				give(r)
				r.RemoteAddr = "192.0.2.1:99"
			})
			if w.Code != http.StatusOK {
				t.Errorf("with the token: %d", w.Code)
			}
		}
	})
}

// TestEveryAnswerHasThePolicy, also errors.
func TestEveryAnswerHasThePolicy(t *testing.T) {
	run(t, loopback, Options{}, func(s *stage) {
		for _, path := range s.paths() {
			for _, host := range []string{loopback, "evil.example"} {
				h := s.ask(http.MethodGet, path, "", func(r *http.Request) { r.Host = host }).Header()
				if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") ||
					strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" ||
					h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %v", path, h)
				}
			}
		}
	})
}

// TestTextsAreCutOnTheServer, so that no message grows with a value or a name.
func TestTextsAreCutOnTheServer(t *testing.T) {
	run(t, loopback, Options{}, func(s *stage) {
		huge := strings.Repeat("<b>", 100<<10)
		s.etcd.Put(huge+"/6dd18b3364141523", huge)
		s.etcd.Put("b/6dd18b3364141524", huge)
		s.etcd.Put("c//size", huge)
		s.etcd.Put("d//state", `{"count":1,"last":"2026-11-21T09:00:00Z"}`)
		s.etcd.Put("d//history/0000000000000001", `{"error":"`+huge+`","by":"`+huge+`"}`)
		s.etcd.Put("holdfast/sessions/6dd18b3364141523", `{"name":"`+huge+`","host":"`+huge+`"}`)
		synctest.Wait()
		w := s.ask(http.MethodGet, "/events", "", nil)
		if n := w.Body.Len(); n > 10_000 || !strings.Contains(w.Body.String(), "\u2026") {
			t.Errorf("a message of %d bytes: %.300s", n, w.Body)
		}
		u := s.first()
		if len(u.Names) != 5 {
			t.Fatalf("%d names", len(u.Names))
		}
		seen := map[string]bool{}
		for _, n := range u.Names {
			seen[n.ID] = true
			if s.find(n.ID) == nil {
				t.Errorf("%s is not found", n.ID)
			}
		}
		if len(seen) != 5 {
			t.Errorf("IDs: %v", seen)
		}
	})
}

// TestPagesAreLimited: a stream too many is refused, and Close ends the others.
func TestPagesAreLimited(t *testing.T) {
	run(t, loopback, Options{}, func(s *stage) {
		for range maxStreams {
			s.open <- struct{}{}
		}
		if w := s.ask(http.MethodGet, "/events", "", nil); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d", w.Code)
		}
	})
}
