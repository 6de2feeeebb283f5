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
		`def f: .a = 1; f`, `pick(.[500000000])`, `fromstream([[0], 1])`, `"\(.a = 1)"`, `reduce .[] as $i (0; .a = $i)`, `_modify(.a; 1)`, `path(.a)`, `del(.a)`, `delpaths([["a"]])`, `JOIN({}; .a)`, `if . then (.a = 1) else . end`,
	} {
		_, err := expect.New("expect", expect.Params{JQ: jq})
		if invalid, ok := errors.AsType[*checks.ParamError](err); !ok || invalid.Path != "expect.jq" || !strings.Contains(err.Error(), "only asks") {
			t.Errorf("%s: %v, want it refused", jq, err)
		}
	}
}

// Expressions that never end or grow without end stop, each with a word for it, and the process stays small.
func TestExpressionsAreBounded(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	// On a slow machine the second may be over before the refusal: what counts is that nothing goes on after it.
	const stops, refused = "stops", "gives a function more than it may take" // "" is any of it
	for jq, says := range map[string]string{
		`[range(1e12)]`:                                            "",
		`last(range(1e12))`:                                        stops,
		`def f: f; f`:                                              "",
		`def f: 1 + f; f`:                                          "",
		`[limit(1e10; repeat("x"))]`:                               "",
		`reduce range(100) as $i ("x"; . + .)`:                     refused,
		`reduce range(100) as $i ("x"; [., .] | add)`:              refused,
		`reduce range(100) as $i ("x"; [., .] | join(""))`:         refused,
		`reduce range(100) as $i ("x"; "\(.)\(.)")`:                refused,
		`reduce range(100) as $i ([1]; . + .)`:                     refused,
		`reduce range(100) as $i ([1]; [., .] | flatten)`:          refused,
		`reduce range(1e9) as $i ({}; . + {"\($i)": $i})`:          "",
		`"x" * 2000000000`:                                         refused,
		`2000000000 * "x"`:                                         refused,
		`reduce range(100) as $i (3; . * .)`:                       "",
		`reduce range(100) as $i (12345678901234567890; . * .)`:    refused,
		`[combinations(30)]`:                                       "",
		`reduce range(1e9) as $i ("x"; . + "xxxxxxxxxxxxxxxxxxx")`: "",
		// What is small until it is walked, and what is quick until each part meets each other: all of it in one step.
		`reduce range(60) as $i ([0]; [., .]) | tojson`:                                      refused,
		`reduce range(60) as $i ([0]; [., .]) | "\(.)"`:                                      refused,
		`reduce range(60) as $i ([0]; [., .]) | @text`:                                       refused,
		`reduce range(60) as $i ([0]; [., .]) | @json "\(.)"`:                                refused,
		`reduce range(60) as $i ([0]; [., .]) | . == (reduce range(60) as $i ([0]; [., .]))`: refused,
		`reduce range(60) as $i ([0]; [., .]) | flatten`:                                     refused,
		`(reduce range(60) as $i ([0]; [., .])) as $x | [1, 2] | sort_by($x)`:                refused,
		`(reduce range(15) as $i ([0]; [., .])) as $x | [range(100000)] | group_by($x)`:      refused,
		`(reduce range(60) as $i ([0]; [., .])) as $x | $x | IN($x)`:                         refused,
		`(reduce range(60) as $i ({}; {a: ., b: .})) | . * .`:                                refused,
		`try (reduce range(60) as $i ([0]; [., .]) | tojson) catch true`:                     refused,
		`(reduce range(60) as $i ([0]; [., .]) | tojson)? // true`:                           refused,
		`reduce range(60) as $i ([0]; . as $x | [1, 2] | map($x)) | tojson`:                  refused,
		`("x" * 1000000) as $s | [range(1000)] | map($s) | join("")`:                         refused,
		`("x" * 1000000) as $s | add(range(1000) | $s)`:                                      refused,
		`[range(200000) | "a"] | join("x" * 1000)`:                                           refused,
		`("x" * 1000000) | [match(""; "g")] | length > 0`:                                    refused,
		`("x" * 1000000) | [match(["", "g"])] | length > 0`:                                  refused,
		`("x" * 1000000) | [scan("x")] | length > 0`:                                         refused,
		`("x" * 1000000) | gsub("x"; "y")`:                                                   refused,
		`[range(300000)] | . - .`:                                                            refused,
		`[range(300000)] | contains(.)`:                                                      refused,
		`[range(300000) | 0] | indices([range(100000) | 0])`:                                 refused,
		`[range(300000) | 0] | .[[range(100000) | 0]]`:                                       refused,
		`[[range(100000)]] + [range(100000) | []] | transpose`:                               refused,
		`("1" * 1000000) | tonumber`:                                                         refused,
		`("1" * 1000000) | fromjson`:                                                         refused,
		`reduce range(20000) as $i (0; [.]) | tojson`:                                        refused,
	} {
		before := total()
		start := time.Now()
		text, ours := judge(t, jq, `[[1,2,3],[4,5,6]]`)
		stopped := ours && (strings.Contains(text, "takes more than 64 MiB") || strings.Contains(text, "did not end in time"))
		if (says == stops && !stopped) || (says == refused && !stopped && (!ours || !strings.Contains(text, refused))) {
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

// The bounds are behind the ordinary meaning of everything.
func TestWithinItsBoundsAnExpressionMeansWhatItAlwaysDid(t *testing.T) {
	t.Parallel()
	for _, jq := range []string{
		`.list - [1] == [2]`, `.n - 1 == 2`, `[(5, 6) - (1, 2)] == [4, 5, 3, 4]`, `.list | contains([1])`, `[1] | inside([1, 2])`, `.text | contains("pong")`,
		`.text | test("PONG"; "i")`, `[.text | scan("[a-z]+")] == ["pong", "said", "it"]`, `.text | gsub("o"; "0") == "p0ng, said it"`, `.text | split(", "; null) == ["pong", "said it"]`,
		`.text | split(", ") == ["pong", "said it"]`, `[.text | splits(", ")] | length == 2`, `.text | capture("(?<word>[a-z]+)").word == "pong"`, `.text | sub("(?<a>p)"; "\(.a)!") == "p!ong, said it"`,
		`.text | index("n") == 2`, `.list | index(2) == 1`, `.list | .[[2]] == [1]`, `.list[0] == 1`, `.list[-1:] == [2]`, `.["n"] == 3`, `[3, 1, 2] | sort == [1, 2, 3]`,
		`[{a: 2}, {a: 1}] | sort_by(.a)[0].a == 1`, `[{a: 2}, {a: 1}] | max_by(.a).a == 2`, `[{a: 2, b: 1}, {a: 2, b: 0}] | sort_by(.a, .b)[0].b == 0`,
		`[1, 2, 1] | group_by(.) | length == 2`, `[1, 2, 1] | unique_by(.) == [1, 2]`, `.list | add == 3`, `add(.list[], 4) == 7`, `.list | map(tostring) | join("-") == "1-2"`,
		`"\(.n)/\(.list)" == "3/[1,2]"`, `@json "x\(.list)" == "x[1,2]"`, `.list | @csv == "1,2"`, `.text | @base64 | @base64d == "pong, said it"`, `.list | tojson | fromjson == [1, 2]`,
		`"12" | tonumber == 12`, `[[1, 2], [3, 4]] | transpose == [[1, 3], [2, 4]]`, `.n | IN(1, 3)`, `to_entries | from_entries | .n == 3`,
		`[paths(type == "number")] | length == 3`, `.missing // "none" == "none"`, `any(.list[]; . == 2)`, `[.list[] | select(. > 1)] == [2]`, `.list | length == 2`, `{"a\(.n)": 1}.a3 == 1`,
		`def twice(f): f + f; twice(.n) == 6`, `. as {n: $x} | $x == 3`, `(.n | tostring) == "3"`, `[.. | numbers] | length == 3`, `[limit(2; .list[])] == [1, 2]`, `.list | flatten == .`,
	} {
		if text, _ := judge(t, jq, `{"n": 3, "list": [1, 2], "text": "pong, said it"}`); text != "" {
			t.Errorf("%s: %s", jq, text)
		}
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
