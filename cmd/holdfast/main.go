// Command holdfast runs commands under locks and the other recipes of the library, and shows their
// state, over etcd's HTTP/JSON gateway.
//
// docs/cli.md describes the verbs and the exit statuses.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run()) }

func run() int {
	a := &app{}
	ctx, sigs := catchSignals(context.Background(), a.dieAtOnce)
	a.sigs = sigs
	err := newRoot(a).ExecuteContext(ctx)
	sigs.releasing()
	a.close()
	code := a.report(err)
	sigs.stop()
	dieOfSignal(err)
	return code
}
