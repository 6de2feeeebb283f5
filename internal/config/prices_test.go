package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// pricesWorld is a folder with a configuration that names a file of prices.
func pricesWorld(t *testing.T, prices, file string) config.Options {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"schedules.yaml": one + prices, "conf/prices.yaml": file} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options(nil)
	o.Path = filepath.Join(dir, "schedules.yaml")
	return o
}

func TestPricesOfTheFileAndOfTheOneThatItNames(t *testing.T) {
	t.Parallel()
	o := pricesWorld(t, `prices: {file: conf/prices.yaml, models: [{model: inline, input_per_million: 0.000001}]}`, `
models:
  - {model: whole, input_per_million: 2, cached_per_million: 1, output_per_million: 3, pages_per_thousand: 4, annotated_pages_per_thousand: 5,
     minute: 0.006, characters_per_million: 16, batch_percent: 80, from: "2999-12-01", source: our contract, checked_on: "2026-11-01"}
  - {model: nothing, free: true}
`)
	cfg, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	want := []pricing.Price{
		{Model: "inline", Input: 1, Cached: 1, Batch: 50, Source: "the configuration"}, // a tenth of the least there is, rounded up
		{
			Model: "whole", Input: 2_000_000, Cached: 1_000_000, Output: 3_000_000, Page: 4_000_000_000, AnnotatedPage: 5_000_000_000,
			Minute: 6_000_000_000, Character: 16_000_000, Batch: 80, From: time.Date(2999, 12, 1, 0, 0, 0, 0, time.UTC),
			Source: "our contract", CheckedOn: "2026-11-01",
		},
		{Model: "nothing", Free: true, Batch: 50, Source: "the configuration"},
	}
	if diff := cmp.Diff(want, cfg.Prices.Own); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(cfg.Warnings) != 0 {
		t.Errorf("got warnings %v", cfg.Warnings)
	}
}

func TestTheFileOfPricesIsReadAtEachLoad(t *testing.T) {
	t.Parallel()
	o := pricesWorld(t, "prices: {file: conf/prices.yaml}", "models: [{model: a, input_per_million: 1}]")
	file := filepath.Join(filepath.Dir(o.Path), "conf", "prices.yaml")
	for name, step := range map[string]struct{ text, want string }{
		"another price":   {"models: [{model: a, input_per_million: 2}]", ""},
		"another's fault": {"models:\n  - {model: a, input_per_million: -2}", file + ":2:35: found the number -2"},
		"gone":            {"", o.Path + ":2:16: the file \"conf/prices.yaml\" cannot be read: no such file"},
	} {
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if step.text == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		cfg, err := config.Load(o)
		if step.want == "" {
			if err != nil || cfg.Prices.Own[0].Input != 2_000_000 {
				t.Errorf("%s: got %+v, %v", name, cfg, err)
			}
			continue
		}
		wrong, ok := errors.AsType[*config.Errors](err)
		if !ok || len(wrong.List()) != 1 || !strings.HasPrefix(err.Error(), step.want) {
			t.Errorf("%s: got %v, want %s", name, err, step.want)
		}
	}
}

// Faults of both files are told at once, each with its line, those of the configuration first.
func TestFaultsOfBothFilesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	o := pricesWorld(t, "\n\n\nprices: {file: conf/prices.yaml, banana: 1}", "modls: []")
	_, err := config.Load(o)
	wrong, ok := errors.AsType[*config.Errors](err)
	if !ok || len(wrong.List()) != 3 {
		t.Fatalf("got %v, want three faults", err)
	}
	var got []string
	for _, p := range wrong.List() {
		source, _, _ := strings.Cut(strings.TrimSpace(p.Source), "\n")
		got = append(got, filepath.Base(p.File)+" "+source)
	}
	want := []string{"schedules.yaml 5 | prices: {file: conf/prices.yaml, banana: 1}", "prices.yaml 1 | modls: []", "prices.yaml 1 | modls: []"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAFileOfPricesThatEverybodyCanWriteIsWarnedOf(t *testing.T) {
	t.Parallel()
	o := pricesWorld(t, "prices: {file: conf/prices.yaml}", "models: [{model: a, free: true}]")
	file := filepath.Join(filepath.Dir(o.Path), "conf", "prices.yaml")
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || cfg.Warnings[0].File != file || !strings.Contains(cfg.Warnings[0].Message, "what the budget counts") {
		t.Errorf("got %v, want one of the file of prices", cfg.Warnings)
	}
}

// What is no file holds nothing: a pipe would be empty at the next reload, and a device never ends.
func TestAFileOfPricesThatIsNoFile(t *testing.T) {
	t.Parallel()
	for device, want := range map[string]string{os.DevNull: "no regular file", "/dev/zero": "no regular file"} {
		_, err := config.Load(pricesWorld(t, "prices: {file: "+device+"}", ""))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", device, err, want)
		}
	}
	huge := pricesWorld(t, "prices: {file: conf/prices.yaml}", "models: []\n"+strings.Repeat("# a megabyte\n", 1<<20/13))
	if _, err := config.Load(huge); err == nil || !strings.Contains(err.Error(), "prices.yaml: the file is larger than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}
