// Command holdfast runs commands under locks, elections, semaphores and barriers, and puts and
// takes items of queues, over etcd's HTTP/JSON gateway.
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
