package manual

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Verbs are the pages of section 1, by file name: one for the program and one for each verb that is shown.
func (b Book) Verbs(root *cobra.Command) map[string]string {
	root.InitDefaultHelpCmd()
	pages := map[string]string{}
	b.verb(root, pages)
	return pages
}

func (b Book) verb(cmd *cobra.Command, pages map[string]string) {
	cmd.InitDefaultHelpFlag()
	name := pageName(cmd)
	p := b.begin(name, "1")
	p.name(name, lowered(cmd.Short))
	p.section("SYNOPSIS")
	p.synopsis(cmd)
	p.section("DESCRIPTION")
	if cmd.Long != "" {
		p.text(cmd.Long)
	} else {
		p.text(cmd.Short + ".")
	}
	if cmd.Example != "" {
		p.section("EXAMPLES")
		p.literal(cmd.Example)
	}
	if verbs := shown(cmd); len(verbs) > 0 {
		p.section("VERBS")
		for _, verb := range verbs {
			p.entry(pageName(verb)+"(1)", "", verb.Short+".")
			b.verb(verb, pages)
		}
	}
	p.options(cmd)
	if !cmd.HasParent() {
		p.surroundings()
	}
	p.exitStatus()
	p.seeAlso(cmd)
	pages[name+".1"] = p.String()
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// shown are the verbs below a command that help lists, but for the list itself.
func shown(cmd *cobra.Command) []*cobra.Command {
	var verbs []*cobra.Command
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Deprecated == "" && c.Name() != "help" {
			verbs = append(verbs, c)
		}
	}
	return verbs
}

func (p *page) synopsis(cmd *cobra.Command) {
	rest := strings.TrimPrefix(cmd.Use, cmd.Name())
	if len(shown(cmd)) > 0 && rest == "" {
		rest = " VERB"
	}
	p.WriteString("\\fB" + escaped(cmd.CommandPath()) + "\\fR" + escaped(rest) + " [\\fIoption\\fR ...]\n")
}

func (p *page) options(cmd *cobra.Command) {
	p.section("OPTIONS")
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if value := f.DefValue; value != "" && value != "false" && value != "[]" && value != "0" && value != "0s" {
			usage += " (default " + value + ")"
		}
		p.entry(term, kind, usage)
	})
}

func (p *page) surroundings() {
	p.section("FILES")
	p.entry("/etc/windsock/schedules.yaml", "", "The configuration: see schedules.yaml(5). An installed agent of another name, windsock@NAME.service, reads /etc/windsock/NAME.yaml.")
	p.entry("/etc/windsock/secrets/", "", "Keys, one a file, of root and the group windsock, mode 0640.")
	p.entry("/etc/windsock/plugins.lock", "", "The programs of plugins that may be run, by digest: see windsock-plugins-lock(1).")
	p.entry("/etc/default/windsock", "", "Environment of windsock.service.")
	p.entry("/var/lib/windsock/", "", "The store: every record until it is delivered and old.")
	p.entry("/usr/share/windsock/", "", "The configuration as it was shipped, its schema, and drop-ins for the unit.")
	p.section("ENVIRONMENT")
	p.entry("MISTRAL_API_KEY", "", "The key, where the configuration refers to it and it is in no file and no credential.")
	p.entry("STATE_DIRECTORY, RUNTIME_DIRECTORY, CREDENTIALS_DIRECTORY", "", "As systemd sets them.")
	p.entry("HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "", "The way out, where the configuration does not say it.")
	p.entry("NO_COLOR", "", "Text without colour.")
}

// exitStatus is the table of docs/exit-codes.md, which holds for every verb.
func (p *page) exitStatus() {
	p.section("EXIT STATUS")
	for _, row := range [][2]string{
		{"0", "Well."},
		{"1", "It could not be done."},
		{"2", "It was asked wrongly: an unknown option, a file that cannot be used."},
		{"3", "It was done, and the news is bad."},
		{"4", "There is not enough data or budget to say."},
		{"78", "The agent was to run with a wrong configuration."},
	} {
		p.entry(row[0], "", row[1])
	}
}

func (p *page) seeAlso(cmd *cobra.Command) {
	p.section("SEE ALSO")
	if cmd.HasParent() {
		p.WriteString(".BR " + escaped(pageName(cmd.Parent())) + " (1),\n")
	}
	p.WriteString(".BR schedules.yaml (5)\n")
}

// lowered is how apropos wants a line: beginning small, without a full stop.
func lowered(short string) string {
	short = strings.TrimSuffix(short, ".")
	if short == "" {
		return short
	}
	return strings.ToLower(short[:1]) + short[1:]
}
