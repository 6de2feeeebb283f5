package embeddings

import (
	"fmt"
	"math"
	"slices"

	"github.com/windsock-monitor/windsock/checks"
)

// sight is what there is to see of vectors.
type sight struct {
	width    int    // of the first
	uneven   string // another width, "" where all are as wide as the first
	unusable string // elements that are no numbers, or nothing but zeros; "" where there are none
	shortest float64
	longest  float64
}

func look(vectors [][]float64) sight {
	s := sight{width: len(vectors[0]), shortest: math.Inf(1)}
	for i, v := range vectors {
		if len(v) != s.width && s.uneven == "" {
			s.uneven = fmt.Sprintf("vector %d is %d wide, the first %d", i, len(v), s.width)
		}
		n := norm(v)
		if s.unusable == "" {
			s.unusable = unusable(i, v, n)
		}
		s.shortest, s.longest = min(s.shortest, n), max(s.longest, n)
	}
	return s
}

// norm is the Euclidean length, NaN where an element is no number.
func norm(v []float64) float64 {
	var n float64
	for _, f := range v {
		n = math.Hypot(n, f) // squares of what a float64 holds need not fit into one
	}
	return n
}

func unusable(i int, v []float64, norm float64) string {
	if at := slices.IndexFunc(v, math.IsNaN); at >= 0 {
		return fmt.Sprintf("element %d of vector %d is no finite number", at, i)
	}
	if norm == 0 {
		return fmt.Sprintf("vector %d holds nothing but zeros", i)
	}
	return ""
}

func (s sight) wrongWidth(want int) string {
	if s.uneven != "" {
		return s.uneven
	}
	if want != 0 && s.width != want {
		return fmt.Sprintf("the vectors are %d wide, want %d", s.width, want)
	}
	return ""
}

func (s sight) wrongNorm(want Range) string {
	switch {
	case want == (Range{}):
		return ""
	case s.shortest < want.Min:
		return fmt.Sprintf("a vector has length %.4g, want %.4g or more", s.shortest, want.Min)
	case s.longest > want.Max:
		return fmt.Sprintf("a vector has length %.4g, want %.4g or less", s.longest, want.Max)
	}
	return ""
}

// same finds different texts with the same vector: a server that answers without looking.
func same(texts []string, vectors [][]float64) string {
	for i := range vectors {
		for j := range i {
			if texts[i] != texts[j] && slices.Equal(vectors[i], vectors[j]) {
				return fmt.Sprintf("texts %d and %d differ and have the same vector", j, i)
			}
		}
	}
	return ""
}

func (s sight) measurements(model string) []checks.Measurement {
	attrs := map[string]string{"model": model}
	all := []checks.Measurement{{Name: "probe.llm.embedding.dimensions", Value: float64(s.width), Attrs: attrs}}
	if s.unusable == "" && !math.IsInf(s.longest, 0) {
		// The length that is furthest from one: most models make unit vectors.
		furthest := s.longest
		if math.Abs(1-s.shortest) > math.Abs(1-s.longest) {
			furthest = s.shortest
		}
		all = append(all, checks.Measurement{Name: "probe.llm.embedding.norm", Value: furthest, Attrs: attrs})
	}
	return all
}
