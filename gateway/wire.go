package gateway

import "github.com/holdfast-go/holdfast/internal/etcdjson"

func (h *Header) wire() etcdjson.Header {
	return etcdjson.Header{
		ClusterID: etcdjson.Uint64(h.ClusterID), MemberID: etcdjson.Uint64(h.MemberID),
		Revision: etcdjson.Int64(h.Revision), RaftTerm: etcdjson.Uint64(h.RaftTerm),
	}
}

// decodeError reads an answer that reports an error. status is the HTTP status, which counts where
// there is no code.
func decodeError(body []byte, status int) (Code, string, bool) {
	e, ok := etcdjson.ParseError(body)
	if !ok {
		return 0, "", false
	}
	for _, code := range e.Codes {
		if code > 0 && code <= int(CodeUnauthenticated) { // otherwise it is another server's JSON
			return rawCode(Code(code), e.Message), clean(e.Message), true
		}
	}
	code, message, ok := codeless(e.Message, status)
	return code, clean(message), ok
}
