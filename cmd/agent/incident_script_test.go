package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/windsock-monitor/windsock/checks/checktest"
)

// TestIncidentScripts runs testdata/incident/*.txtar: what people do when an incident is on, and after it.
func TestIncidentScripts(t *testing.T) {
	verbs := commands()
	verbs["unpack"], verbs["clean"] = unpack, clean
	testscript.Run(t, testscript.Params{
		Dir: "testdata/incident", Setup: setup(t, withoutKubectl), Cmds: verbs, RequireExplicitExec: true,
	})
}

// withoutKubectl gives a script a PATH in which no kubectl is, WINDSOCKPATH, and the binary by its path, WINDSOCK.
func withoutKubectl(env *testscript.Env) error {
	for _, dir := range filepath.SplitList(env.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "windsock")); err == nil {
			env.Setenv("WINDSOCK", filepath.Join(dir, "windsock"))
			env.Setenv("WINDSOCKPATH", dir+":/usr/bin:/bin")
		}
	}
	return nil
}

// unpack ARCHIVE DIR unpacks an archive, and wants one folder and nothing outside of it.
func unpack(ts *testscript.TestScript, _ bool, args []string) {
	data := []byte(ts.ReadFile(args[0]))
	if info, err := os.Stat(ts.MkAbs(args[0])); err != nil || info.Mode().Perm() != 0o600 {
		ts.Fatalf("%s: %v, %v, want mode 0600", args[0], info.Mode(), err)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(data))
	ts.Check(err)
	archive, top := tar.NewReader(zipped), ""
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		ts.Check(err)
		first, rest, _ := strings.Cut(header.Name, "/")
		if top == "" {
			top = first
		}
		if first != top || !filepath.IsLocal(header.Name) {
			ts.Fatalf("%q is outside of %q", header.Name, top)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if header.Mode != 0o600 || header.Typeflag != tar.TypeReg {
			ts.Fatalf("%q has mode %o and type %c", header.Name, header.Mode, header.Typeflag)
		}
		text, err := io.ReadAll(archive)
		ts.Check(err)
		to := filepath.Join(ts.MkAbs(args[1]), rest)
		ts.Check(os.MkdirAll(filepath.Dir(to), 0o700))
		ts.Check(os.WriteFile(to, text, 0o600))
	}
}

// clean DIR KEY… wants the keys nowhere in the files of a folder, in no form, nor a part of one. Texts that contain
// encodings are the caller's to plant.
func clean(ts *testscript.TestScript, _ bool, args []string) {
	read := 0
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		ts.Check(err)
		read++
		for _, key := range args[1:] {
			if form := checktest.Leak(string(data), key); form != "" {
				ts.Fatalf("%s holds the key %s (%s)", path, key, form)
			}
			for _, part := range []string{key[:14], key[len(key)-14:]} {
				if strings.Contains(string(data), part) {
					ts.Fatalf("%s holds a part of the key %s", path, key)
				}
			}
		}
		return nil
	})
	ts.Check(err)
	if read < 8 {
		ts.Fatalf("%d files in %s, want those of an archive", read, args[0])
	}
}
