package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/config"
)

// Attestation is what somebody stands for.
type Attestation struct {
	Owner   string `json:"owner"`
	Date    string `json:"date"`
	Expires string `json:"expires"`
	Note    string `json:"note,omitempty"`
	Place   Place  `json:"place"`
}

// The bounds of a file of attestations, and the form of its days.
const (
	mostAttestations = 1 << 20 // bytes
	day              = "2006-01-02"
)

// written is the file.
type written struct {
	Attestations []entry `yaml:"attestations" jsonschema:"required"`
}

type entry struct {
	Item    string `yaml:"item" jsonschema:"required"`
	Owner   string `yaml:"owner" jsonschema:"required"`
	Date    string `yaml:"date" jsonschema:"required"`
	Expires string `yaml:"expires" jsonschema:"required"`
	Note    string `yaml:"note"`
}

// standing is what the file says.
type standing struct {
	path    string
	problem string // why it cannot be used as a whole
	places  []Place
	count   int
	byItem  map[string]*Attestation
	bad     map[string]string // by item: why an entry does not count
}

// attestations reads the file; without one nobody stands for anything.
func attestations(path string, now time.Time) *standing {
	s := &standing{path: path, byItem: map[string]*Attestation{}, bad: map[string]string{}}
	if path == "" {
		return s
	}
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > mostAttestations) {
		err = fmt.Errorf("%s is no file of at most 1 MiB", path)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path) //nolint:gosec // the operator names the file
	}
	if err != nil {
		s.problem, s.places = err.Error(), []Place{{File: path}}
		return s
	}
	var w written
	doc := config.Read(filepath.Base(path), data, "attestations", &w)
	if wrong := problemsOf(doc.Err()); len(wrong) > 0 {
		s.problem = fmt.Sprintf("%d things are wrong with it, so that nobody stands for anything", len(wrong))
		s.places = wrong
		return s
	}
	for i := range w.Attestations {
		s.take(&w.Attestations[i], doc.Line(fmt.Sprintf("attestations.%d", i)), now)
	}
	return s
}

// problemsOf are the faults of a file, in their places.
func problemsOf(err error) []Place {
	if err == nil {
		return nil
	}
	wrong, ok := err.(*config.Errors) //nolint:errorlint // that is what a Document gives
	if !ok {
		return []Place{{What: err.Error()}}
	}
	var all []Place
	for _, p := range wrong.List() {
		all = append(all, Place{File: p.File, Line: p.Line, Column: p.Column, What: p.Message})
	}
	return all
}

// take judges one entry.
func (s *standing) take(e *entry, number int, now time.Time) {
	place := Place{File: filepath.Base(s.path), Line: number}
	today := now.UTC().Format(day)
	date, errDate := time.Parse(day, e.Date)
	expires, errExpires := time.Parse(day, e.Expires)
	fault := ""
	switch {
	case !slices.Contains(ids(true), e.Item):
		fault = fmt.Sprintf("there is no item %q", e.Item)
		if hint := config.Near(e.Item, ids(true)); hint != "" {
			fault += "; " + hint
		}
	case e.Item == itemAttestations:
		fault = "nobody can stand for the attestations themselves"
	case strings.TrimSpace(e.Owner) == "":
		fault = "it has no owner"
	case errDate != nil:
		fault = "date is no day such as 2026-11-28"
	case errExpires != nil:
		fault = "expires is no day such as 2026-11-28"
	case e.Date > today:
		fault = "its date is in the future"
	case !expires.After(date):
		fault = "it expires before it begins"
	case e.Expires < today:
		fault = "it expired on " + e.Expires
	case s.byItem[e.Item] != nil:
		fault = "the item is there twice"
	}
	if fault != "" {
		place.What = fault
		s.places = append(s.places, place)
		s.bad[e.Item] = fmt.Sprintf("%s:%d: %s", place.File, place.Line, fault)
		return
	}
	s.count++
	s.byItem[e.Item] = &Attestation{Owner: e.Owner, Date: e.Date, Expires: e.Expires, Note: e.Note, Place: place}
}

// file is the finding of the file itself: an entry that does not count must be seen, whatever item it is for.
func (s *standing) file() finding {
	switch {
	case s.path == "":
		return pass("none are given")
	case s.problem != "":
		f := blocked("mend it", "%s cannot be used: %s", filepath.Base(s.path), s.problem)
		f.places = s.places
		return f
	case len(s.places) > 0:
		f := blocked("mend or renew them", "%d of %d do not count", len(s.places), len(s.places)+s.count)
		f.places = s.places
		return f
	}
	return pass("%d can be used", s.count)
}

// judge lets an attestation stand where nothing was measured, and never where something was.
func (s *standing) judge(item *Item, f *finding) {
	a, why := s.byItem[item.Item], s.bad[item.Item]
	switch {
	case f.verdict == Blocked && a != nil && why == "":
		f.verdict, item.Attestation = Attested, a
		f.evidence = append(f.evidence, "not measured: "+f.detail)
		f.detail, f.todo = fmt.Sprintf("%s stands for it since %s, until %s", a.Owner, a.Date, a.Expires), ""
	case f.verdict == Blocked && why != "":
		f.evidence = append(f.evidence, "the attestation does not count: "+why)
	case f.verdict == Fail && a != nil:
		f.evidence = append(f.evidence, a.Owner+" stands for it, which does not count against what was measured")
	}
}
