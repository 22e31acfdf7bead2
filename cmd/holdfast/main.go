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
	root, help := newRoot(a), &helpOutput{}
	root.SetOut(help)
	addCobraVerbs(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = help.err
	}
	sigs.releasing()
	a.close()
	code := a.report(err)
	sigs.stop()
	dieOfSignal(err)
	return code
}
