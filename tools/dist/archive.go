package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// file is a file of the archives and packages.
type file struct {
	source    string
	name      string // in an archive
	installed string // in a package; empty means that packages do not have it
	mode      fs.FileMode
}

// archive writes the program and the extras, for Windows as a zip file.
func (d *dist) archive(p platform, program string) error {
	files := append([]file{{program, filepath.Base(program), "", 0o755}}, d.extras...)
	name := fmt.Sprintf("holdfast_%s_%s_%s", d.version, p.os, p.arch)
	var text []byte
	var err error
	if p.os == "windows" {
		name += ".zip"
		text, err = zipped(files, d.at)
	} else {
		name += ".tar.gz"
		if text, err = tarred(files, d.at); err == nil {
			text, err = gzipped(text)
		}
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.out, name), text, 0o644)
}

func zipped(files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		text, err := os.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		head := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		head.SetMode(f.mode)
		to, err := w.CreateHeader(head)
		if err != nil {
			return nil, err
		}
		if _, err := to.Write(text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func tarred(files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		text, err := os.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		if err := add(w, f.name, text, f.mode, at); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func add(w *tar.Writer, name string, text []byte, mode fs.FileMode, at time.Time) error {
	err := w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: int64(mode), ModTime: at,
		Format: tar.FormatPAX,
	})
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func gzipped(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// checksums writes SHA256SUMS in the form of sha256sum.
func (d *dist) checksums() error {
	entries, err := os.ReadDir(d.out)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(d.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(text), e.Name())
	}
	fmt.Print(lines.String())
	return os.WriteFile(filepath.Join(d.out, "SHA256SUMS"), []byte(lines.String()), 0o644)
}
