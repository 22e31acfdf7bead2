// Command fleetsim simulates the assignment of large fleets, and writes its table into
// docs/scale.md. The same seed has the same table.
//
//	go run ./fleetsim -out ../docs/scale.md
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
)

// fleets are the simulated fleets. The first ones are whole, the last one is in cells.
var fleets = []fleet{
	{cells: 1, members: 100, shards: 1_000},
	{cells: 1, members: 1_000, shards: 10_000},
	{cells: 1, members: 10_000, shards: 100_000},
	{cells: 10, members: 10_000, shards: 100_000},
	{cells: 50, members: 10_000, shards: 100_000},
}

func main() {
	out := flag.String("out", "", "the page whose table is replaced; without it the table is printed")
	seed := flag.Uint64("seed", 1, "of the random changes")
	changes := flag.Int("changes", 30, "the number of changes of each fleet")
	flag.Parse()
	var table bytes.Buffer
	header(&table, *seed, *changes)
	for _, f := range fleets {
		fmt.Fprintln(os.Stderr, f)
		fmt.Fprint(&table, f.run(*seed, *changes))
	}
	if err := write(*out, table.Bytes(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	begin = "<!-- fleetsim -->\n"
	end   = "<!-- end of fleetsim -->\n"
)

// write replaces the table of a page.
func write(page string, table []byte, print io.Writer) error {
	if page == "" {
		_, err := print.Write(table)
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !ok || !ended {
		return fmt.Errorf("%s has no place for the table", page)
	}
	out := bytes.Join([][]byte{before, []byte(begin), table, []byte(end), after}, nil)
	return os.WriteFile(page, out, 0o644) //nolint:gosec // a page of the documentation
}
