package evidence

import (
	"regexp"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

const speakers = "answer|question|reply|response|content|message|utterance|transcript|user|assistant|human"

// said is what stands behind the name of who speaks, or of what is said, without quotes. In the agent's own texts such a word
// stands before an error ("no answer: …"), so that only logs are read for it.
var said = regexp.MustCompile(`(?i)((?:` + speakers + `)s?(?:\s+(?:was|is))?:\s*)[^"'\s\[{\\/\d].*`)

// Log takes out of a log what String takes out of a text, and what people and models said in it: also where that goes on over
// lines without a time of their own.
func (r *Redactor) Log(text string) string {
	text = r.apply(&r.patterns[0], text)
	dated := false
	for line := range strings.Lines(text) {
		if _, dated = timeOf(line); dated {
			break
		}
	}
	speaking := pattern{RuleContent, said, "${1}" + checks.Redacted, strings.Split(speakers, "|"), true}
	var out strings.Builder
	talk := false // the line before ended in what somebody said
	for line := range strings.Lines(text) {
		_, own := timeOf(line)
		goesOn := !own && (dated || strings.TrimLeft(line, " \t") != line)
		if blank := strings.TrimSpace(line) == ""; talk && goesOn && !blank {
			r.hits[RuleContent]++
			out.WriteString(checks.Redacted + "\n")
			continue
		} else if blank {
			out.WriteString(line)
			continue
		}
		before := r.hits[RuleContent]
		clean := r.line(line)
		if speaking.may(strings.ToLower(clean)) {
			clean = r.apply(&speaking, clean)
		}
		talk = r.hits[RuleContent] > before && strings.HasSuffix(strings.TrimRight(clean, "\r\n"), checks.Redacted)
		out.WriteString(clean)
	}
	return out.String()
}
