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
	ctx, sigs := catch(context.Background(), a.dieAtOnce)
	a.sigs = sigs
	root := newRoot(a)
	err := root.ExecuteContext(ctx)
	sigs.closing()
	a.close()
	code := a.report(err)
	sigs.stop()
	raise(err)
	return code
}
