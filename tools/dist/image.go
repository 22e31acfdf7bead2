package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// image writes a container image that has the program alone, as its entrypoint, for "docker load".
func (d *dist) image(p platform, program string) error {
	layer, err := tarred([]file{{program, "holdfast", "", 0o755}}, d.at)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": p.arch,
		"os":           p.os,
		"created":      d.at.Format(time.RFC3339),
		"config": map[string]any{
			"Entrypoint": []string{"/holdfast"},
			"Env":        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"},
			"User":       "65532:65532",
			"Labels": map[string]string{
				"org.opencontainers.image.title":    "holdfast",
				"org.opencontainers.image.version":  d.version,
				"org.opencontainers.image.source":   "https://github.com/holdfast-go/holdfast",
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
		"rootfs": map[string]any{
			"type":     "layers",
			"diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))},
		},
		"history": []any{map[string]any{"created": d.at.Format(time.RFC3339)}},
	})
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": configName, "Layers": []string{"layer.tar"},
		"RepoTags": []string{"holdfast:" + d.version},
	}})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		text []byte
	}{{configName, config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := add(w, f.name, f.text, 0o644, d.at); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	text, err := gzipped(b.Bytes())
	if err != nil {
		return err
	}
	name := fmt.Sprintf("holdfast_%s_image_%s.tar.gz", d.version, p.arch)
	return os.WriteFile(filepath.Join(d.out, name), text, 0o644)
}
