package plugintest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Outcome is what became of a case.
type Outcome string

// The outcomes.
const (
	OK       Outcome = "ok"
	NotOK    Outcome = "not ok"
	Skipped  Outcome = "skipped"   // the plugin has nothing that the case is about
	NotTried Outcome = "not tried" // something is missing that the case needs
)

// Level is what a report shows of a plugin.
type Level string

// The levels.
const (
	LevelNone        Level = "none"        // a required case did not pass, or was not tried
	LevelRequired    Level = "required"    // every required case passed
	LevelRecommended Level = "recommended" // every case passed
)

// Case is what became of one case.
type Case struct {
	Number   int           `json:"number"`
	Group    string        `json:"group"`
	Name     string        `json:"name"`
	Required bool          `json:"required"` // else it is recommended
	Outcome  Outcome       `json:"outcome"`
	Reasons  []string      `json:"reasons,omitempty"` // what was found and what was wanted, or why it was left out
	Notes    []string      `json:"notes,omitempty"`   // what is good to know of a case that passed
	Took     time.Duration `json:"took_ns"`
}

// Report is what the suite found.
type Report struct {
	Path     string        `json:"path"`
	Plugin   string        `json:"plugin,omitempty"`
	Version  string        `json:"version,omitempty"`
	Protocol int           `json:"protocol"`
	Level    Level         `json:"level"`
	Cases    []Case        `json:"cases"`
	Missing  []string      `json:"missing,omitempty"` // parameters that the file of --config lacks, a sentence for each kind
	Took     time.Duration `json:"took_ns"`
}

// String is the case as people read it: a line as of the Test Anything Protocol, and one for each reason.
func (c Case) String() string {
	var b strings.Builder
	word := "not ok"
	if c.Outcome == OK || c.Outcome == Skipped {
		word = "ok"
	}
	fmt.Fprintf(&b, "%s %d - %s: %s", word, c.Number, c.Group, c.Name)
	if !c.Required {
		b.WriteString(" (recommended)")
	}
	lines := append(append([]string{}, c.Reasons...), c.Notes...)
	if c.Outcome == Skipped || c.Outcome == NotTried {
		fmt.Fprintf(&b, " # %s", map[Outcome]string{Skipped: "SKIP", NotTried: "NOT TRIED"}[c.Outcome])
		if len(lines) == 1 {
			fmt.Fprintf(&b, " %s", lines[0])
			lines = nil
		}
	}
	b.WriteByte('\n')
	for _, line := range lines {
		fmt.Fprintf(&b, "    # %s\n", strings.ReplaceAll(line, "\n", "\n    # "))
	}
	return b.String()
}

// Badge is the report in one line.
func (r *Report) Badge() string {
	return fmt.Sprintf("agent plugin protocol %d, level %s", r.Protocol, r.Level)
}

// Count is how many cases had an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for i := range r.Cases {
		if r.Cases[i].Outcome == o {
			n++
		}
	}
	return n
}

// Passed reports whether every required case that was asked for passed or had nothing to be about.
func (r *Report) Passed() bool {
	failed, untried := r.required()
	return failed == 0 && untried == 0
}

// Failed reports whether a required case was tried and did not pass.
func (r *Report) Failed() bool {
	failed, _ := r.required()
	return failed > 0
}

func (r *Report) required() (failed, untried int) {
	for i := range r.Cases {
		switch c := &r.Cases[i]; {
		case c.Required && c.Outcome == NotOK:
			failed++
		case c.Required && c.Outcome == NotTried:
			untried++
		}
	}
	return failed, untried
}

// judge sets the level. A part of the suite shows nothing of the whole.
func (r *Report) judge(whole bool) {
	switch {
	case !whole || !r.Passed():
		r.Level = LevelNone
	case r.Count(NotOK)+r.Count(NotTried) == 0:
		r.Level = LevelRecommended
	default:
		r.Level = LevelRequired
	}
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	Out      string      `xml:"system-out,omitempty"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitReason `xml:"failure"`
	Skipped *junitReason `xml:"skipped"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as continuous integration reads it. A required case that was not tried is a failure there, and a
// recommended one that did not pass is skipped, with its reason.
func (r *Report) JUnit(w io.Writer) error {
	suite := junitSuite{Name: "windsock plugin " + r.Plugin, Tests: len(r.Cases), Time: seconds(r.Took), Out: r.Badge()}
	for i := range r.Cases {
		c := &r.Cases[i]
		one := junitCase{Class: "windsock.plugin." + c.Group, Name: fmt.Sprintf("%02d %s", c.Number, c.Name), Time: seconds(c.Took), Out: strings.Join(c.Notes, "\n")}
		reason := &junitReason{Message: string(c.Outcome), Text: strings.Join(c.Reasons, "\n")}
		switch {
		case c.Outcome == OK:
		case c.Required && c.Outcome != Skipped:
			one.Failure = reason
			suite.Failures++
		default:
			one.Skipped = reason
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, one)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("writing JUnit: %w", err)
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return fmt.Errorf("writing JUnit: %w", err)
	}
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
