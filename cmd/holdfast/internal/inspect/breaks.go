package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Break is the record of a hold that was broken. Its JSON is the record.
type Break struct {
	Key    string        `json:"key"`
	Fence  int64         `json:"fence"`
	Reason string        `json:"reason"`
	By     session.Info  `json:"by"`
	Holder *session.Info `json:"holder,omitempty"` // nil if the holder had no record
	Time   time.Time     `json:"time"`
}

// Breaks reads the holds of a name that were broken, the last one last. A user who may not read the
// records sees none. It returns the error of a failed request.
func Breaks(ctx context.Context, c *gateway.Client, name string) ([]Break, error) {
	found, err := c.Get(ctx, BrokenPrefix+name+"/", gateway.Prefix())
	switch {
	case errors.Is(err, gateway.ErrPermissionDenied):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var all []Break
	for _, kv := range found.KVs {
		var b Break
		if json.Unmarshal(kv.Value, &b) == nil && belongs(b.Key, name) {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b Break) int { return a.Time.Compare(b.Time) })
	return all, nil
}

// belongs reports whether a key is a member's of the name, or a claim's.
func belongs(key, name string) bool {
	member, ok := strings.CutPrefix(key, name+"/")
	return ok && (!strings.Contains(member, "/") || strings.HasPrefix(key, claimPrefix(name)))
}
