package expect_test

import (
	"context"
	"errors"
	"testing"

	"github.com/windsock-monitor/windsock/checks/internal/expect"
)

func ask(t *testing.T, ctx context.Context, jq string, input any) (any, error) {
	t.Helper()
	query, err := expect.NewQuery(jq)
	if err != nil {
		t.Fatalf("%s: %v", jq, err)
	}
	turn, err := expect.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.End()
	return query.First(turn, input) //nolint:contextcheck // it is the turn's
}

func TestAQueryGivesItsFirstValue(t *testing.T) {
	t.Parallel()
	for jq, want := range map[string]any{
		".a": 1.0, ".b": nil, ".b // .a": 1.0, "empty": nil, ".a, .c": 1.0, ".a + 1": 2.0, ".c": "x", "env | length == 0": true,
	} {
		if got, err := ask(t, t.Context(), jq, map[string]any{"a": 1.0, "c": "x"}); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", jq, got, err, want)
		}
	}
}

func TestAQueryThatCannotAnswerSaysWhyAndNotWhatItSaw(t *testing.T) {
	t.Parallel()
	for jq, want := range map[string]error{
		".c.d": expect.ErrFailed, "error": expect.ErrFailed, `"x" * 2000000000`: expect.ErrBeyond, "last(range(1e12))": expect.ErrBeyond,
		`reduce range(100) as $i ("x"; . + .)`: expect.ErrBeyond,
	} {
		if got, err := ask(t, t.Context(), jq, map[string]any{"c": "secret"}); got != nil || !errors.Is(err, want) {
			t.Errorf("%s: got %v, %v, want %v", jq, got, err, want)
		}
	}
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(t, ctx, "last(range(1e12))", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestATurnGoesOnAfterAnExpressionThatWentBeyond(t *testing.T) {
	t.Parallel()
	endless, err := expect.NewQuery("last(range(1e12))")
	if err != nil {
		t.Fatal(err)
	}
	fine, err := expect.NewQuery(".a")
	if err != nil {
		t.Fatal(err)
	}
	turn, err := expect.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer turn.End()
	if _, err := endless.First(turn, nil); !errors.Is(err, expect.ErrBeyond) {
		t.Errorf("got %v", err)
	}
	if got, err := fine.First(turn, map[string]any{"a": "b"}); got != "b" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAQueryOnlyAsks(t *testing.T) {
	t.Parallel()
	for _, jq := range []string{".a = 1", "del(.a)", "(("} {
		if _, err := expect.NewQuery(jq); err == nil {
			t.Errorf("%q is accepted", jq)
		}
	}
}
