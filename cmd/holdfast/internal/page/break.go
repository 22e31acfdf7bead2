package page

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/session"
)

// breakRequest names a hold, or a waiter, and the reason to break it.
type breakRequest struct {
	Name   string `json:"name"`
	Key    string `json:"key"`
	Fence  int64  `json:"fence"`
	Reason string `json:"reason"`
}

// tokenHeader carries the text that only a page of this server has received.
const tokenHeader = "X-Holdfast-Page"

// breakLimit is how long a break may take.
const breakLimit = 5 * time.Second

// breakHold breaks a hold. Requests of other sites do not get here: a browser names their origin,
// they cannot set this header or this content type, and they do not know the text.
func (s *Server) breakHold(w http.ResponseWriter, r *http.Request) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		http.Error(w, "JSON is needed", http.StatusUnsupportedMediaType)
		return
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), []byte(s.csrf)) != 1 {
		http.Error(w, "this request is not from the page; load it again", http.StatusForbidden)
		return
	}
	var asked breakRequest
	body := http.MaxBytesReader(w, r.Body, 16<<10)
	if err := json.NewDecoder(body).Decode(&asked); err != nil {
		http.Error(w, "the request cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	if strings.TrimSpace(asked.Reason) == "" {
		http.Error(w, "for which reason?", http.StatusBadRequest)
		return
	}
	n := s.find(asked.Name)
	if n == nil {
		http.Error(w, "nobody uses this name", http.StatusNotFound)
		return
	}
	m := memberWith(n, asked.Key, asked.Fence)
	if m == nil {
		http.Error(w, "it was released in this moment", http.StatusConflict)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), breakLimit)
	defer cancel()
	switch err := session.Break(ctx, s.opt.Client, m.Key, m.Fence, asked.Reason); {
	case errors.Is(err, session.ErrNotHeld):
		http.Error(w, "it was released in this moment", http.StatusConflict)
	case err != nil:
		http.Error(w, cut(err.Error(), maxText), http.StatusBadGateway)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
