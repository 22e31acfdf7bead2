package inspect

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// restSettings are the settings of names that are not lines, and the result of a once.
var restSettings = []string{"result", "failure", "counter", "next", "assignment"}

// Whole is [One] with the other settings of the name, and the number of members of a
// group. The result of a once has up to 1 MiB. It returns the error of a failed request.
func Whole(ctx context.Context, c *gateway.Client, name string) (*Place, error) {
	p, err := One(ctx, c, name)
	if err != nil {
		return nil, err
	}
	var t gateway.Txn
	for _, setting := range restSettings {
		t.Then = append(t.Then, gateway.OpGet(settingKey(name, setting)))
	}
	t.Then = append(t.Then, gateway.OpGet(nodePrefix(name), gateway.Prefix(), gateway.CountOnly()))
	resp, err := c.Txn(ctx, t)
	if err != nil {
		return nil, err
	}
	for i, setting := range restSettings {
		for _, kv := range resp.Responses[i].Get.KVs {
			p.Settings[setting] = string(kv.Value)
		}
	}
	p.Nodes = resp.Responses[len(restSettings)].Get.Count
	p.arrange()
	return p, nil
}
