package gateway

import (
	"bytes"
	"io"
	"net/http"
)

// etcd's gateway answers the first create of a request while it still reads the others. Before Go's
// server begins an answer, it reads the rest of the request away, so that the connection can be
// used again: creates that the gateway has not read by then are lost, and etcd says nothing of it.
// The server leaves the rest alone, and closes the connection later, where that is unreadLimit or
// more. It also does so for "Connection: close", which helps on the way to the first proxy, and
// which proxies do not pass on.
const (
	// firstRead is how many bytes the gateway reads, or all, before it acts on the first create.
	firstRead   = 512
	unreadLimit = 256 << 10
)

// needsPadding tells whether creates may be lost in the request of a stream. Polls are many, so
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
	// With GetBody the transport can go on where an idle connection was closed.
	req.GetBody = func() (io.ReadCloser, error) {
		r := io.MultiReader(bytes.NewReader(cn.body), io.LimitReader(newlines{}, padding))
		return io.NopCloser(r), nil
	}
	req.Body, _ = req.GetBody() // it has no error
}

// newlines is an endless reader of nothing else, which JSON ignores between two messages.
type newlines struct{}

func (newlines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}
