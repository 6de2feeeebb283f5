package ruletest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// mostSamples bounds one series.
const mostSamples = 100_000

// value is one sample; there is none where it is missing.
type value struct {
	number float64
	given  bool
}

// parseValues reads samples in the notation of promtool, separated by spaces: 1.5 is one; _ is none, and so is stale; 1x4 is
// five times 1; 1+2x3 is 1 3 5 7; 9-2x3 is 9 7 5 3; _x3 is three times none.
func parseValues(text string) ([]value, error) {
	var out []value
	for word := range strings.FieldsSeq(text) {
		some, err := expand(word)
		if err != nil {
			return nil, err
		}
		if out = append(out, some...); len(out) > mostSamples {
			return nil, fmt.Errorf("more than %d samples", mostSamples)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no sample, want such as %q", "0.5 0.5 6x10 _ 1+1x4")
	}
	return out, nil
}

func expand(word string) ([]value, error) {
	if word == "stale" {
		word = "_"
	}
	const number = `[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?`
	parts := regexp.MustCompile(`^(_|` + number + `)([+-][0-9.][0-9.eE]*)?(?:x([0-9]{1,6}))?$`).FindStringSubmatch(word)
	if parts == nil || (parts[2] != "" && (parts[3] == "" || parts[1] == "_")) {
		return nil, fmt.Errorf("%q is no sample, want such as 1.5, _ for none, 6x10, 1+0.5x4 or _x3", word)
	}
	times := 1
	if parts[3] != "" {
		times, _ = strconv.Atoi(parts[3])
		if parts[1] != "_" {
			times++ // as promtool: the first, and so many more
		}
	}
	if times > mostSamples {
		return nil, fmt.Errorf("%q is more than %d samples", word, mostSamples)
	}
	if parts[1] == "_" {
		return make([]value, times), nil
	}
	first, err := strconv.ParseFloat(parts[1], 64)
	step := 0.0
	if err == nil && parts[2] != "" {
		step, err = strconv.ParseFloat(parts[2], 64)
	}
	if err != nil {
		return nil, fmt.Errorf("%q holds a number that cannot be read", word)
	}
	out := make([]value, times)
	for i := range out {
		out[i] = value{first + float64(i)*step, true}
	}
	return out, nil
}
