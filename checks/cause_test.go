package checks_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

// constants returns the values of the string constants of type typ in file.
func constants(t *testing.T, file, typ string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typ {
			return true
		}
		for _, v := range spec.Values {
			if lit, ok := v.(*ast.BasicLit); ok {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
		return true
	})
	if len(values) < 5 {
		t.Fatalf("%d constants of type %s in %s, want at least 5", len(values), typ, file)
	}
	return values
}

func TestEveryCauseIsInTheTableOnce(t *testing.T) {
	t.Parallel()
	count := map[checks.Cause]int{}
	for _, row := range checks.Causes() {
		count[row.Cause]++
	}
	for _, value := range constants(t, "cause.go", "Cause") {
		want := 1
		if value == "" {
			want = 0
		}
		if got := count[checks.Cause(value)]; got != want {
			t.Errorf("cause %q is in the table %d times, want %d", value, got, want)
		}
		delete(count, checks.Cause(value))
	}
	for cause := range count {
		t.Errorf("the table has %q, which is no constant", cause)
	}
}

func TestEveryBlameIsInItsTableOnce(t *testing.T) {
	t.Parallel()
	var got []string
	for _, row := range checks.Blames() {
		got = append(got, string(row.Blame))
		if row.Doc == "" {
			t.Errorf("%s has no line of documentation", row.Blame)
		}
	}
	want := slices.DeleteFunc(constants(t, "cause.go", "Blame"), func(s string) bool { return s == "" })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the table has %v, want %v", got, want)
	}
}

func TestEveryRowOfTheTableIsWhole(t *testing.T) {
	t.Parallel()
	blames := constants(t, "cause.go", "Blame")
	for _, row := range checks.Causes() {
		if row.Doc == "" || row.Blame == checks.BlameNone || !slices.Contains(blames, string(row.Blame)) {
			t.Errorf("row %+v, want a blame and a line of documentation", row)
		}
		if row.Blame == checks.BlameSkipped && row.Counted {
			t.Errorf("%s counts against the breaker, though nothing ran", row.Cause)
		}
		if got := row.Cause.Blame(); got != row.Blame {
			t.Errorf("%s blames %q, want %q", row.Cause, got, row.Blame)
		}
	}
}

func TestTheBreakerCountsWhatTheChecklistSays(t *testing.T) {
	t.Parallel()
	for cause, want := range map[checks.Cause]bool{
		checks.CauseServer: true, checks.CauseRateLimited: true, checks.CauseTimeout: true, checks.CauseConnect: true,
		checks.CauseAuth: false, checks.CauseForbidden: false, checks.CauseBadRequest: false, checks.CauseConfig: false,
	} {
		row, ok := cause.Info()
		if !ok || row.Counted != want {
			t.Errorf("%s counted %v, want %v", cause, row.Counted, want)
		}
	}
}

func TestACauseNobodyKnowsBlamesNobody(t *testing.T) {
	t.Parallel()
	for _, cause := range []checks.Cause{"", "weather"} {
		if _, ok := cause.Info(); ok || cause.Blame() != checks.BlameNone {
			t.Errorf("cause %q has a row, want none", cause)
		}
	}
}

func TestAStatusIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for _, status := range checks.Statuses() {
		text, err := status.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back checks.Status
		if err := back.UnmarshalText(text); err != nil || back != status {
			t.Errorf("%s came back as %s, %v", text, back, err)
		}
	}
	var s checks.Status
	if err := s.UnmarshalText([]byte("OK")); err == nil {
		t.Error(`status "OK" was read, want an error: names are lower case`)
	}
	if s != checks.Unknown {
		t.Errorf("the zero status is %s, want unknown", s)
	}
}

func TestOnlyAJudgedTargetWasReached(t *testing.T) {
	t.Parallel()
	want := map[checks.Status]bool{checks.OK: true, checks.Degraded: true, checks.Failed: true}
	for _, status := range checks.Statuses() {
		if got := status.Reached(); got != want[status] {
			t.Errorf("%s reached %v, want %v", status, got, want[status])
		}
	}
}

func TestMoneyIsRoundedUpWhenShown(t *testing.T) {
	t.Parallel()
	for amount, want := range map[checks.PicoUSD]string{
		0: "$0.000000", 1: "$0.000001", 1_000_000: "$0.000001", 1_000_001: "$0.000002", checks.Dollar: "$1.000000",
		12*checks.Dollar + 345_678*1_000_000: "$12.345678", -1_500_000: "-$0.000002", 9_000_000 * checks.Dollar: "$9000000.000000",
	} {
		if got := amount.String(); got != want {
			t.Errorf("%d pico-USD shows %s, want %s", int64(amount), got, want)
		}
	}
}
