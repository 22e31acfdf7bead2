package gateway

import (
	"bytes"
	"io"
	"net/http"
)

// etcd's gateway answers the first create of a request while it still reads the others. Before Go's
// server begins an answer, it discards the rest of the request, so that the connection can be used
// again. Creates that the gateway has not read by then are lost, and etcd does not report it. If
// the rest is unreadLimit or more, the server does not discard it, but closes the connection later.
// It does the same for "Connection: close", which reaches only the first proxy, because proxies do
// not forward it.
const (
	// firstRead is how many bytes the gateway reads, or all, before it handles the first create.
	firstRead   = 512
	unreadLimit = 256 << 10
)

// needsPadding reports whether creates may be lost in the request of a stream. Polls are many, so
// they are padded only where one ended without an answer to all of its creates.
func (cn *conn) needsPadding() bool {
	if len(cn.body) <= firstRead {
		return false
	}
	return cn.mode == finite || cn.mode == polling && cn.m.ep.path.losesCreates
}

// setBody makes the request of a stream one that is complete when it is sent.
func (cn *conn) setBody(req *http.Request) {
	var padding int64
	if cn.padded {
		padding = unreadLimit
	}
	req.ContentLength = int64(len(cn.body)) + padding
	// With GetBody the transport can send it again where an idle connection was closed.
	req.GetBody = func() (io.ReadCloser, error) {
		r := io.MultiReader(bytes.NewReader(cn.body), io.LimitReader(newlines{}, padding))
		return io.NopCloser(r), nil
	}
	req.Body, _ = req.GetBody() // it has no error
}

// newlines is an endless reader of newlines, which JSON ignores between two messages.
type newlines struct{}

func (newlines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}
