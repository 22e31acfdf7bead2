package gateway

import (
	"context"
	"fmt"
	"iter"
)

// Page is a part of a range, in key order.
type Page struct {
	KVs []KeyValue
	// Revision is the revision at which all pages are read. A watch from the next one misses
	// nothing.
	Revision int64
	More     bool // another page follows
}

// Pages reads a range of keys in pages of at most size keys, all at one revision: the revision of
// the first page, or of [AtRevision]. It takes the options of Get but Limit, SortBy and CountOnly.
// An empty range is one empty page. Each pair is a page and a nil error; if reading fails, the last
// pair has the error. Nothing is read ahead. Each loop over the result reads anew, at a new
// revision, and loops may run concurrently. Each page is retried at other endpoints until ctx ends.
//
// The error is ErrInvalid when an option does not apply or size is not positive, and ErrCompacted
// when the revision is compacted during the loop: the earlier pages are right at their revision,
// and a complete read has to begin again. With [Serializable], a member that lags behind the one
// before can reject the revision as one of the future.
func (c *Client) Pages(
	ctx context.Context, key string, size int64, opts ...Option,
) iter.Seq2[Page, error] {
	op := OpGet(key, opts...)
	switch {
	case op.wrong != "":
	case op.limit != 0 || op.chosen().sorted || op.countOnly:
		op.wrong = "options Limit, SortBy and CountOnly do not apply to pages"
	case size <= 0:
		op.wrong = "a page of less than one key"
	}
	return func(yield func(Page, error) bool) {
		op := op // each loop begins anew
		for op.limit = size; ; {
			page, err := c.page(ctx, &op)
			if !yield(page, err) || err != nil || !page.More {
				return
			}
		}
	}
}

// page reads one page and moves op to the next.
func (c *Client) page(ctx context.Context, op *Op) (Page, error) {
	resp, err := c.get(ctx, *op)
	if err != nil {
		return Page{}, err
	}
	if op.revision == 0 {
		op.revision = resp.Revision
	}
	if resp.More {
		if len(resp.KVs) == 0 || resp.KVs[len(resp.KVs)-1].Key <= op.chosen().after {
			err := fmt.Errorf("%w: more keys, and none to go on from", ErrProtocol)
			return Page{}, &Error{Op: "get", cause: err}
		}
		last := resp.KVs[len(resp.KVs)-1].Key
		*op = op.choose(func(c *choice) { c.after = last })
	}
	return Page{KVs: resp.KVs, Revision: op.revision, More: resp.More}, nil
}
