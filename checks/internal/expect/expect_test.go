package expect_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/expect"
)

func judge(t *testing.T, jq, content string) (text string, ours bool) {
	t.Helper()
	x, err := expect.New("expect", expect.Params{JQ: jq})
	if err != nil {
		t.Fatalf("%s: %v", jq, err)
	}
	steps, ours := x.Steps(t.Context(), content)
	return steps[0].Detail, ours
}

func TestMultiplicationMeansWhatItAlwaysDid(t *testing.T) {
	t.Parallel()
	for _, jq := range []string{
		`.n * 2 == 6`, `2 * .n == 6`, `.n * .n * .n == 27`, `.n * 1.5 == 4.5`, `("ab" * 3) == "ababab"`, `(3 * "ab") == "ababab"`, `("ab" * 0) == "" or ("ab" * 0) == null`,
		`({a: {b: 1}} * {a: {c: 2}}) == {a: {b: 1, c: 2}}`, `[(1, 2) * (3, 4)] == [3, 6, 4, 8]`, `1 + 2 * .n == 7`, `[.n * 2][0] == 6`, `"\(.n * 2)" == "6"`,
		`def f(x): x * x; f(.n) == 9`, `[.n | . * 2, . * 3] == [6, 9]`, `reduce (1, 2, 3) as $i (1; . * $i) == 6`, `if .n * 2 > 5 then true else false end`,
		`{a: (.n * 2)}.a == 6`, `100000000000 * 100000000000 == 10000000000000000000000`, `(try ("a" * {}) catch "no") == "no"`, `.n as $x | $x * $x == 9`, `.list[1 * 1] == 2`,
	} {
		if text, _ := judge(t, jq, `{"n": 3, "list": [1, 2]}`); text != "" {
			t.Errorf("%s: %s", jq, text)
		}
	}
}

func TestAnExpressionOnlyAsks(t *testing.T) {
	t.Parallel()
	for _, jq := range []string{
		`.a = 1`, `.a |= 1`, `.a += 1`, `.a -= 1`, `.a *= 2`, `.a /= 2`, `.a %= 2`, `.a //= 2`, `setpath(["a"]; 1)`, `[.[] | (.a = 1)]`,
		`def f: .a = 1; f`, `pick(.[500000000])`, `fromstream([[0], 1])`, `"\(.a = 1)"`, `reduce .[] as $i (0; .a = $i)`, `_modify(.a; 1)`, `if . then (.a = 1) else . end`,
	} {
		_, err := expect.New("expect", expect.Params{JQ: jq})
		if invalid, ok := errors.AsType[*checks.ParamError](err); !ok || invalid.Path != "expect.jq" || !strings.Contains(err.Error(), "only asks") {
			t.Errorf("%s: %v, want it refused", jq, err)
		}
	}
}

// Expressions that never end or grow without end stop, each with a word for it, and the process stays small.
func TestExpressionsAreBounded(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	const stops, fails = "stops", "it failed" // "" is any of it
	for jq, says := range map[string]string{
		`[range(1e12)]`:                                            "",
		`last(range(1e12))`:                                        stops,
		`def f: f; f`:                                              "",
		`def f: 1 + f; f`:                                          "",
		`[limit(1e10; repeat("x"))]`:                               "",
		`reduce range(100) as $i ("x"; . + .)`:                     stops,
		`reduce range(100) as $i ("x"; [., .] | add)`:              stops,
		`reduce range(100) as $i ("x"; [., .] | join(""))`:         stops,
		`reduce range(100) as $i ("x"; "\(.)\(.)")`:                stops,
		`reduce range(100) as $i ([1]; . + .)`:                     stops,
		`reduce range(100) as $i ([1]; [., .] | flatten)`:          stops,
		`reduce range(1e9) as $i ({}; . + {"\($i)": $i})`:          "",
		`"x" * 2000000000`:                                         fails,
		`2000000000 * "x"`:                                         fails,
		`reduce range(100) as $i (3; . * .)`:                       "",
		`reduce range(100) as $i (12345678901234567890; . * .)`:    fails,
		`[combinations(30)]`:                                       "",
		`reduce range(1e9) as $i ("x"; . + "xxxxxxxxxxxxxxxxxxx")`: "",
	} {
		before := total()
		start := time.Now()
		text, ours := judge(t, jq, `[[1,2,3],[4,5,6]]`)
		stopped := ours && (strings.Contains(text, "takes more than 64 MiB") || strings.Contains(text, "did not end in time"))
		if (says == stops && !stopped) || (says == fails && !strings.Contains(text, fails)) {
			t.Errorf("%s: %q, want that it %s", jq, text, says)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s took %s", jq, took)
		}
		if grown := int64(total()) - int64(before); grown > 512<<20 {
			t.Errorf("%s took %d MiB of the system", jq, grown>>20)
		}
		runtime.GC()
	}
}

func total() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys
}

func TestAnExpressionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	x, err := expect.New("expect", expect.Params{JQ: "last(range(1e12))"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if steps, ours := x.Steps(ctx, "1"); !ours || steps[0].OK {
		t.Errorf("%+v, ours %v, want that it could not be judged", steps, ours)
	}
}

func FuzzSteps(f *testing.F) {
	for _, seed := range [][2]string{
		{`.a`, `{"a": 1}`},
		{`.[] | select(. > 1)`, `[1, 2, 3]`},
		{`test("a+")`, "aaa"},
		{`fromjson`, `"{}"`},
		{`tojson | length`, `1e309`},
		{`. as [$a] | $a`, "[[[[1]]]]"},
		{`@base64d`, "####"},
		{`limit(3; repeat(.))`, "null"},
		{`ltrimstr("a")`, "\xff"},
		{`1/0`, "1"},
		{`. * 1000000`, `"aaa"`},
		{`reduce range(50) as $i (.; . + .)`, `"a"`},
		{`.[1000000]`, `[]`},
		{`[.[]?]`, `{}`},
		{`def f: f; f`, `1`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, jq, content string) {
		x, err := expect.New("expect", expect.Params{JQ: jq})
		if err != nil || jq == "" {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		steps, _ := x.Steps(ctx, content)
		if len(steps) != 1 || steps[0].OK != (steps[0].Detail == "") {
			t.Errorf("%q on %q: %s", jq, content, fmt.Sprintf("%+v", steps))
		}
	})
}

func TestAnExpressionIsNotBlamedForWhatAnotherTakes(t *testing.T) {
	t.Parallel()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // another, which grows without end until it is stopped, over and over
		defer close(stopped)
		greedy, err := expect.New("expect", expect.Params{JQ: `reduce range(100) as $i ("x"; . + .)`})
		for err == nil {
			select {
			case <-stop:
				return
			default:
				_, _ = greedy.Steps(t.Context(), "1")
			}
		}
	}()
	for range 5 { // with a time limit of its own it may not end beside others on a slow machine, but it grows nothing
		if text, _ := judge(t, "last(range(20000)) == 19999", "1"); strings.Contains(text, "takes more") {
			t.Error(text)
		}
	}
	close(stop)
	<-stopped
}
