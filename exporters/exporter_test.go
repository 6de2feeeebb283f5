package exporters_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// class is what delivery does with an error.
func class(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case exporters.IsHold(err):
		return "hold"
	case exporters.IsSplit(err):
		return "split"
	case exporters.IsPoison(err):
		return "poison"
	}
	return "retry"
}

func TestAnErrorSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"retry": exporters.Retry(io.EOF, time.Second), "hold": exporters.Hold(io.EOF), "split": exporters.Split(io.EOF),
		"poison": exporters.Poison(io.EOF),
	} {
		wrapped := fmt.Errorf("sending: %w", err)
		if got := class(wrapped); got != want || !errors.Is(wrapped, io.EOF) {
			t.Errorf("%v: %s, want %s with its reason kept", wrapped, got, want)
		}
	}
	if got := class(io.EOF); got != "retry" {
		t.Errorf("an error of no class is %s, want retry", got)
	}
	if got := exporters.RetryAfter(fmt.Errorf("x: %w", exporters.Retry(io.EOF, time.Minute))); got != time.Minute {
		t.Errorf("the backend's wish is %s, want 1m", got)
	}
	if got := exporters.RetryAfter(io.EOF); got != 0 {
		t.Errorf("the wish of an error without one is %s, want 0", got)
	}
}

func TestAnHTTPStatusHasOneClass(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "accepted", 202: "accepted", 204: "accepted", 301: "hold", 302: "hold", 400: "poison", 401: "hold", 403: "hold",
		404: "hold", 408: "retry", 413: "split", 422: "poison", 429: "retry", 500: "retry", 502: "retry", 503: "retry", 101: "retry",
	} {
		if got := class(exporters.OfHTTPStatus(status, 0, "posting")); got != want {
			t.Errorf("status %d is %s, want %s", status, got, want)
		}
	}
	err := exporters.OfHTTPStatus(503, 7*time.Second, "posting metrics")
	if got := exporters.RetryAfter(err); got != 7*time.Second || !strings.Contains(err.Error(), "posting metrics: status 503") {
		t.Errorf("got %v after %s", err, got)
	}
}

type lakeParams struct{ Bucket string }

func (p lakeParams) Validate() error {
	if p.Bucket == "" {
		return checks.Invalid("bucket", "nothing, want a name")
	}
	return nil
}

type lake struct{ bucket string }

func (lake) Export(context.Context, []checks.Record) (exporters.Outcome, error) {
	return exporters.Outcome{}, nil
}

type decoder func(into any) error

func (d decoder) Decode(into any) error { return d(into) }

func TestAKindDecodesOverItsDefaultsAndChecksThem(t *testing.T) {
	t.Parallel()
	kind := exporters.NewKind("lake", "Fills a lake.", lakeParams{Bucket: "b1"}, func(p lakeParams, env exporters.Env) (exporters.Exporter, error) {
		return lake{p.Bucket + env.Name}, nil
	})
	absent := decoder(func(any) error { return nil })
	got, err := kind.New(absent, exporters.Env{Name: "!"})
	if err != nil || got.(lake).bucket != "b1!" {
		t.Errorf("built %v, %v, want the default bucket", got, err)
	}
	empty := decoder(func(into any) error { into.(*lakeParams).Bucket = ""; return nil })
	for what, err := range map[string]error{"validating": kind.Validate(empty), "building": second(kind.New(empty, exporters.Env{}))} {
		if err == nil || err.Error() != "bucket: nothing, want a name" {
			t.Errorf("%s an empty bucket: %v, want the parameter named", what, err)
		}
	}
	if err := kind.Validate(absent); err != nil {
		t.Errorf("validating the defaults: %v", err)
	}
}

func second(_ exporters.Exporter, err error) error { return err }
