package checks_test

import (
	"context"
	"errors"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

type decoder func(into any) error

func (d decoder) Decode(into any) error { return d(into) }

type pingParams struct {
	Model string
	Limit int
}

func (p pingParams) Validate() error {
	if p.Limit < 1 {
		return checks.Invalid("limit", "%d, want at least 1", p.Limit)
	}
	return nil
}

type pointerParams struct{ Limit int }

func (p *pointerParams) Validate() error {
	if p.Limit == 0 {
		return checks.Invalid("", "nothing to do")
	}
	return nil
}

func TestAKindDecodesOverItsDefaultsAndChecksThem(t *testing.T) {
	t.Parallel()
	var built pingParams
	kind := checks.NewKind("ping", "Pings.", pingParams{Model: "small", Limit: 3}, func(p pingParams, _ checks.Env) (checks.Check, error) {
		built = p
		return checks.Func(func(context.Context) (checks.Result, error) { return checks.Pass("pong"), nil }), nil
	})
	check, err := kind.New(decoder(func(into any) error { into.(*pingParams).Limit = 5; return nil }), checks.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (pingParams{"small", 5}); built != want {
		t.Errorf("built with %+v, want %+v", built, want)
	}
	if got, err := check.Run(t.Context()); got.Status != checks.OK || err != nil {
		t.Errorf("ran to %v, %v", got, err)
	}
	if got := kind.Defaults.(pingParams).Limit; got != 3 {
		t.Errorf("decoding changed the default to %d, want 3", got)
	}
}

func TestAKindRefusesBadParametersWithTheirPlace(t *testing.T) {
	t.Parallel()
	build := func(pingParams, checks.Env) (checks.Check, error) { return nil, errors.New("built, though invalid") }
	kind := checks.NewKind("ping", "", pingParams{}, build)
	empty := decoder(func(any) error { return nil })
	for name, err := range map[string]error{"validating": kind.Validate(empty), "building": second(kind.New(empty, checks.Env{}))} {
		var param *checks.ParamError
		if !errors.As(err, &param) || param.Path != "limit" || err.Error() != "limit: 0, want at least 1" {
			t.Errorf("%s gave %v, want the place and what was wanted", name, err)
		}
	}
	cannot := errors.New("line 3: no such key")
	if err := kind.Validate(decoder(func(any) error { return cannot })); !errors.Is(err, cannot) {
		t.Errorf("validating gave %v, want the decoder's error", err)
	}
	_, err := checks.DecodeParams(empty, pointerParams{})
	if err == nil || err.Error() != "nothing to do" {
		t.Errorf("a Validate on the pointer gave %v, want it to be called", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestResultsAreMadeWithTheirStatus(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		got    checks.Result
		status checks.Status
		cause  checks.Cause
	}{
		{checks.Pass("s"), checks.OK, ""},
		{checks.Fail(checks.CauseAuth, "s"), checks.Failed, checks.CauseAuth},
		{checks.Degrade(checks.CauseSlow, "s"), checks.Degraded, checks.CauseSlow},
		{checks.Skip(checks.CauseBudget, "s"), checks.Skipped, checks.CauseBudget},
		{checks.Undetermined(checks.CauseDNS, "s"), checks.Unknown, checks.CauseDNS},
	} {
		if tc.got.Status != tc.status || tc.got.Cause != tc.cause || tc.got.Summary != "s" {
			t.Errorf("made %+v, want %s %q", tc.got, tc.status, tc.cause)
		}
	}
}
