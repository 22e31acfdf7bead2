package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// The benchmarks use the public API, without a network. They include the cost of a call besides the
// encoding, which is the same for one operation and for many.

// answered makes a client whose requests are all answered alike.
func answered(b *testing.B, body string) *gateway.Client {
	b.Helper()
	return clientOf(b, func(*http.Request) (*http.Response, error) {
		return reply(http.StatusOK, body), nil
	})
}

func clientOf(b *testing.B, rt roundTripper) *gateway.Client {
	b.Helper()
	c, err := gateway.New(gateway.Config{Endpoints: []string{"http://a:1"}, Transport: rt})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return c
}

const memberKey = "jobs/nightly/694d81417acd4c8e"

var sizes = []int{1, 10, 100}

// BenchmarkEncode sends transactions of puts with a short answer.
func BenchmarkEncode(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("ops=%d", n), func(b *testing.B) {
			c := answered(b, `{`+header+`}`) // the compare failed
			txn := gateway.Txn{
				If: []gateway.Cmp{gateway.CmpModRevision(memberKey, gateway.Equal, 1<<40)},
			}
			for i := range n {
				txn.Then = append(txn.Then,
					gateway.OpPut(fmt.Sprintf("%s-%d", memberKey, i), nil,
						gateway.WithLease(1<<40)))
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Txn(b.Context(), txn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func wireKV(i int) string {
	return fmt.Sprintf(`{"key":%s,"create_revision":"%d","mod_revision":"%d","version":"1",`+
		`"value":%s,"lease":"7587869341112421518"}`,
		must(json.Marshal(fmt.Appendf(nil, "%s-%d", memberKey, i))),
		1<<40+i, 1<<40+i, must(json.Marshal([]byte("a short value"))))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// BenchmarkDecode reads lists of keys.
func BenchmarkDecode(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			var kvs []string
			for i := range n {
				kvs = append(kvs, wireKV(i))
			}
			body := fmt.Sprintf(`{%s,"kvs":[%s],"count":"%d"}`, header, strings.Join(kvs, ","), n)
			c := answered(b, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				got, err := c.Get(b.Context(), memberKey, gateway.Prefix())
				if err != nil || len(got.KVs) != n {
					b.Fatal(got, err)
				}
			}
		})
	}
}

// BenchmarkDecodeTxn reads the answers of transactions like those that join a line.
func BenchmarkDecodeTxn(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("joins=%d", n), func(b *testing.B) {
			var txn gateway.Txn
			var responses []string
			for range n {
				txn.Then = append(txn.Then, gateway.OpPut(memberKey, nil),
					gateway.OpGet("jobs/nightly/", gateway.Prefix(), gateway.CountOnly()))
				responses = append(responses,
					`{"response_put":{"header":{"revision":"1099511627776"}}}`,
					`{"response_range":{"header":{"revision":"1099511627776"},"count":"1"}}`)
			}
			body := fmt.Sprintf(`{%s,"succeeded":true,"responses":[%s]}`,
				header, strings.Join(responses, ","))
			c := answered(b, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				got, err := c.Txn(b.Context(), txn)
				if err != nil || len(got.Responses) != 2*n {
					b.Fatal(got, err)
				}
			}
		})
	}
}

// BenchmarkSplit cuts a stream into messages, of which some are longer than the buffer.
func BenchmarkSplit(b *testing.B) {
	for name, message := range map[string]string{
		"short": wireKV(1) + "\n", "long": strings.Repeat(wireKV(1), 1000) + "\n",
	} {
		b.Run(name, func(b *testing.B) {
			const messages = 64
			all := strings.Repeat(message, messages)
			b.SetBytes(int64(len(all)))
			b.ReportAllocs()
			for b.Loop() {
				lines, err := gateway.SplitLines(strings.NewReader(all), 64<<10)
				if len(lines) != messages || !errors.Is(err, io.EOF) {
					b.Fatal(len(lines), err)
				}
			}
		})
	}
}

// BenchmarkStream reads events from a watch stream, from the bytes to the watch's function. Each
// message has the next revision, because a repeated one would be dropped.
func BenchmarkStream(b *testing.B) {
	for _, events := range []int{1, 100} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			lines, ids := make(chan []byte), make(chan int64, 1)
			c := clientOf(b, func(r *http.Request) (*http.Response, error) {
				if !strings.HasSuffix(r.URL.Path, "/watch") {
					return reply(http.StatusOK, `{"etcdserver":"3.6.16"}`), nil
				}
				out, in := io.Pipe()
				go playStream(r, in, ids, lines)
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{}, Body: out,
				}, nil
			})
			got, created := make(chan int, 1), make(chan struct{})
			stop, err := c.WatchFunc(memberKey, func(r gateway.WatchResponse) {
				switch {
				case r.Created:
					close(created)
				case len(r.Events) > 0:
					got <- len(r.Events)
				}
			}, gateway.Prefix())
			if err != nil {
				b.Fatal(err)
			}
			defer stop()
			<-created
			const revision = 1_000_000_000_000
			line, places := eventLine(events, <-ids, revision)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for n := int64(revision); b.Loop(); {
				n++
				for _, at := range places {
					strconv.AppendInt(line[:at], n, 10)
				}
				lines <- line
				if n := <-got; n != events {
					b.Fatal(n)
				}
			}
		})
	}
}

// playStream serves one stream with one watch.
func playStream(r *http.Request, in *io.PipeWriter, ids chan<- int64, lines <-chan []byte) {
	defer r.Body.Close()
	var m message
	err := json.NewDecoder(r.Body).Decode(&m)
	if err == nil {
		ids <- m.Create.ID
		_, err = fmt.Fprintf(in, `{"result":{%s,"watch_id":"%d","created":true}}`+"\n",
			header, m.Create.ID)
	}
	for err == nil {
		select {
		case line := <-lines:
			_, err = in.Write(line)
		case <-r.Context().Done():
			err = r.Context().Err()
		}
	}
	_ = in.CloseWithError(err) // it returns no error
}

// eventLine returns a message with n events, and the position of their revision.
func eventLine(events int, id, revision int64) (line []byte, places []int) {
	var list []string
	for i := range events {
		list = append(list,
			`{"kv":`+strings.Replace(wireKV(i), fmt.Sprintf(`"mod_revision":"%d"`, 1<<40+i),
				fmt.Sprintf(`"mod_revision":"%d"`, revision), 1)+`}`)
	}
	text := fmt.Sprintf(`{"result":{%s,"watch_id":"%d","events":[%s]}}`+"\n",
		header, id, strings.Join(list, ","))
	for at, want := 0, strconv.FormatInt(revision, 10); ; {
		next := strings.Index(text[at:], want)
		if next < 0 {
			return []byte(text), places
		}
		places = append(places, at+next)
		at += next + len(want)
	}
}
