package main

import (
	"fmt"
	"strings"

	"github.com/windsock-monitor/windsock/internal/config"
)

func firstSentence(doc string) string {
	doc = strings.Join(strings.Fields(doc), " ")
	if at := strings.Index(doc, ". "); at >= 0 {
		return doc[:at+1]
	}
	return doc
}

func knownCheck(cfg *config.Config, name string) error {
	names := make([]string, 0, len(cfg.Checks))
	for _, c := range cfg.Checks {
		if c.Name == name {
			return nil
		}
		names = append(names, c.Name)
	}
	return fmt.Errorf("no check is named %q, want one of %s", name, strings.Join(names, ", "))
}
