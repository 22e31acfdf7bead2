package page

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/memnet"
)

// TestAClientThatDoesNotReadIsCutOff: an answer or a stream that nobody reads ends after the limit,
// and a stream that is read goes on for longer.
func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	const token = "a token for the test"
	for path, reads := range map[string]bool{"/page.js": false, "/events": false, "/events?": true} {
		synctest.Test(t, func(t *testing.T) {
			c := fakeetcd.Start(t).Client(t)
			b, err := board.Open(t.Context(), c, "")
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			l := memnet.Listen()
			s, err := serve(t.Context(), l, Options{Board: b, Client: c, Token: token})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			conn, err := l.Dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = fmt.Fprintf(conn,
				"%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
				http.MethodGet, path, token)
			if err != nil {
				t.Fatal(err)
			}
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				if !reads {
					time.Sleep(writeLimit + time.Second)
				}
				buf := make([]byte, 1<<16)
				for n := 0; err == nil; n, err = conn.Read(buf) {
					_ = n
				}
			}()
			time.Sleep(3 * writeLimit)
			synctest.Wait()
			select {
			case <-closed:
				if reads {
					t.Errorf("%s: a page that reads was cut off: %v", path, err)
				}
			default:
				if !reads {
					t.Errorf("%s: the connection is still open", path)
				}
			}
			conn.Close()
			<-closed
		})
	}
}
