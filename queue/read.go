package queue

import (
	"context"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
)

// read reads a window of items from a place on, all claims and retries behind it, and more. If end
// is not empty, it reads up to that place. The claims are read with their short values, because
// etcd 3.7 omits the leases of a read without values.
func (ic *itemCache) read(
	ctx context.Context, from, end string, more ...gateway.Op,
) (*gateway.TxnResponse, error) {
	ic.mu.Lock()
	known := ic.gaps
	if ic.window = min(2*ic.window, window); from == "" {
		ic.window = firstWindow
	}
	limit := ic.window
	ic.mu.Unlock()
	items := before(known.between(ic.keys.items, from), ic.keys.items, end)
	ops := slices.Concat(
		getRanges(items, gateway.Limit(limit), gateway.KeysOnly()),
		getRanges(before(known.between(ic.keys.claims, from), ic.keys.claims, end)),
		getRanges(before(known.between(ic.keys.retries, from), ic.keys.retries, end)),
	)
	resp, err := ic.id.c.Txn(ctx, gateway.Txn{Then: append(ops, more...)})
	if err != nil {
		return nil, err
	}
	n := len(items)
	resp.Responses = append([]gateway.OpResponse{
		joined(resp.Responses[:n]), joined(resp.Responses[n : 2*n]),
		joined(resp.Responses[2*n : 3*n]),
	}, resp.Responses[3*n:]...)
	return resp, nil
}

// readFrom is read for an extension, with the tail. It reads again without the gaps if they belong
// to another tail.
func (ic *itemCache) readFrom(
	ctx context.Context, from, end string,
) (*gateway.TxnResponse, error) {
	for {
		resp, err := ic.read(ctx, from, end, gateway.OpGet(ic.keys.tail))
		if err != nil {
			return nil, err
		}
		if created, _ := tailOf(resp.Responses[3].Get); ic.gapsFit(created) {
			return resp, nil
		}
	}
}

// before returns the parts of the ranges before the place end, or all of them without one.
func before(ranges []gap, prefix, end string) []gap {
	if end == "" {
		return ranges
	}
	last := prefix + end
	ranges = slices.DeleteFunc(ranges, func(r gap) bool { return r.from >= last })
	if n := len(ranges); n > 0 {
		ranges[n-1].to = min(ranges[n-1].to, last)
	}
	return ranges
}

func getRanges(ranges []gap, opts ...gateway.Option) (ops []gateway.Op) {
	for _, r := range ranges {
		ops = append(ops, gateway.OpGet(r.from, append(opts, gateway.Range(r.to))...))
	}
	return ops
}

// joined returns the answers of neighbouring ranges as one, up to the first that is not complete.
func joined(answers []gateway.OpResponse) gateway.OpResponse {
	all := &gateway.GetResponse{}
	for _, a := range answers {
		all.KVs = append(all.KVs, a.Get.KVs...)
		if a.Get.More {
			all.More = true
			break
		}
	}
	return gateway.OpResponse{Get: all}
}

// gapsFit reports whether the gaps belong to the tail that was read with the items. If not, they
// are forgotten, because the numbers have begun again.
func (ic *itemCache) gapsFit(created int64) bool {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if len(ic.gaps.list) == 0 || ic.gaps.tail == created {
		return true
	}
	ic.gaps = gaps{}
	return false
}
