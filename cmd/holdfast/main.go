// Command holdfast locks, elects, limits and queues from the command line, over etcd's HTTP/JSON gateway.
//
// What it does, and with which status it exits, is written in docs/cli.md.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run()) }

func run() int {
	a := &app{}
	ctx, sigs := catch(context.Background())
	defer sigs.stop()
	a.sigs = sigs
	root := newRoot(a)
	err := root.ExecuteContext(ctx)
	a.close()
	return a.report(err)
}
