// Package manual writes manual pages, in man(7), of the verbs and of the schema of the configuration. It reads what both say
// of themselves and makes nothing up; the shipped binary does not carry it.
package manual

import (
	"fmt"
	"strings"
	"time"
)

// Book is what all pages have in common.
type Book struct {
	Version string
	Date    time.Time
}

// page is one manual page that is being written.
type page struct{ strings.Builder }

func (b Book) begin(name, section string) *page {
	p := &page{}
	fmt.Fprintf(p, ".TH %s %s %s %q %q\n", strings.ToUpper(escaped(name)), section, b.Date.UTC().Format(time.DateOnly), "Windsock "+b.Version, "Windsock")
	p.WriteString(".nh\n.ad l\n") // long names stay whole
	return p
}

func (p *page) section(title string) { fmt.Fprintf(p, ".SH %s\n", quoted(title)) }

func (p *page) subsection(title string) { fmt.Fprintf(p, ".SS %s\n", quoted(title)) }

// name is the section by which apropos finds the page.
func (p *page) name(name, short string) {
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", escaped(name), escaped(short))
}

// entry is a term and what it means.
func (p *page) entry(term, rest, meaning string) {
	p.WriteString(".TP\n")
	if rest == "" {
		fmt.Fprintf(p, "\\fB%s\\fR\n", escaped(term))
	} else {
		fmt.Fprintf(p, "\\fB%s\\fR %s\n", escaped(term), escaped(rest))
	}
	p.lines(meaning)
}

// text is paragraphs, which an empty line parts; what is indented stays as it is.
func (p *page) text(text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		if strings.HasPrefix(paragraph, " ") {
			p.literal(paragraph)
			continue
		}
		p.lines(paragraph)
	}
}

// lines is one paragraph. A sentence that ends within a line begins a new one, as man(7) wants it.
func (p *page) lines(text string) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		line = strings.ReplaceAll(strings.TrimSpace(line), ". ", ".\n")
		for sentence := range strings.SplitSeq(line, "\n") {
			for _, part := range folded(sentence) {
				p.WriteString(escaped(part) + "\n")
			}
		}
	}
}

// literal is text whose lines are kept.
func (p *page) literal(text string) {
	p.WriteString(".RS 4\n.nf\n")
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		p.WriteString(escaped(strings.TrimPrefix(line, "  ")) + "\n")
	}
	p.WriteString(".fi\n.RE\n")
}

// folded breaks a line of the source where it is long; the reader does not see it.
func folded(line string) []string {
	var lines []string
	current := ""
	for word := range strings.FieldsSeq(line) {
		if current != "" && len(current)+1+len(word) > 76 {
			lines = append(lines, current)
			current = ""
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	if current == "" {
		return lines
	}
	return append(lines, current)
}

// escaped is text as man(7) takes it: nothing in it is a request, and a hyphen or quote is the character that one can type.
func escaped(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		return `\&` + text
	}
	return text
}

// quoted is an argument of a request.
func quoted(text string) string {
	return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"`
}
