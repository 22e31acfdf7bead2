package faults_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// folderVar is the folder for the files of failed runs.
const folderVar = "HOLDFAST_FAULTS_DIR"

// save writes the history and the logs of a failed run to a folder, and logs its path.
func (r *rig) save(f fault, res *result, seed uint64) {
	r.t.Helper()
	parent := os.Getenv(folderVar)
	if parent != "" {
		r.check(os.MkdirAll(parent, 0o777))
	}
	dir, err := os.MkdirTemp(parent, "holdfast-"+strings.ToLower(f.name)+"-")
	if err != nil {
		r.t.Error(err)
		return
	}
	write := func(name string, lines ...any) {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			r.t.Error(err)
			return
		}
		enc := json.NewEncoder(file)
		for _, l := range lines {
			r.check(enc.Encode(l))
		}
		r.check(file.Close())
	}
	write("run.json", map[string]any{
		"seed": fmt.Sprint(seed), "fault": f.name, "version": r.cluster.Version(), "began": r.began,
		"healed":     r.healed,
		"conditions": r.conditions, "notes": r.notes, "violations": res.Violations,
		"late": res.late,
	})
	write("ops.jsonl", lines(res.ops)...)
	write("events.jsonl", lines(res.log)...)
	for _, v := range res.verdicts {
		if !v.Legal() {
			marks := map[string][2]int64{f.what: {r.began, r.healed}}
			r.check(v.Save(filepath.Join(dir, v.Place+".html"), marks))
		}
	}
	for _, m := range r.cluster.Members() {
		text, err := os.ReadFile(m.LogFile())
		r.check(err)
		r.check(os.WriteFile(filepath.Join(dir, m.Name()+".log"), text, 0o666))
	}
	r.t.Logf("seed %d, what is left of the run is in %s", seed, dir)
}

func lines[T any](all []T) []any {
	out := make([]any, len(all))
	for i, v := range all {
		out[i] = v
	}
	return out
}
