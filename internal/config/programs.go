package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const maxDirectories = 32

// programs checks what exec checks may run. It touches no folder: the file may be made on another machine.
func (b *builder) programs() {
	given := b.file.Programs
	if len(given.Directories) > maxDirectories {
		b.add(b.at("programs.directories"), "", "%d folders, want at most %d", len(given.Directories), maxDirectories)
	}
	for i, dir := range given.Directories {
		at := b.at(fmt.Sprintf("programs.directories.%d", i))
		switch {
		case !filepath.IsAbs(dir):
			b.add(at, "", "found %s, want an absolute path such as /usr/lib/nagios/plugins", quote(dir))
		case filepath.Clean(dir) == "/":
			b.add(at, "name the folders of the plugins", "the folder / would allow every program there is")
		default:
			b.cfg.Programs.Directories = append(b.cfg.Programs.Directories, filepath.Clean(dir))
		}
	}
	b.cfg.Programs.Read = b.reach("read", given.Read)
	b.cfg.Programs.Write = b.reach("write", given.Write)
	for i, path := range b.cfg.Programs.Write {
		if slices.ContainsFunc(b.cfg.Programs.Directories, func(dir string) bool { return overlap(dir, path) }) {
			b.add(b.at(fmt.Sprintf("programs.write.%d", i)), "", "programs could change each other in %s, which has one of programs.directories", quote(path))
		}
	}
	b.programsEnv(given.Env)
}

// reach checks paths that programs may use.
func (b *builder) reach(key string, given []string) []string {
	var out []string
	if len(given) > maxDirectories {
		b.add(b.at("programs."+key), "", "%d paths, want at most %d", len(given), maxDirectories)
	}
	for i, path := range given {
		at := b.at(fmt.Sprintf("programs.%s.%d", key, i))
		switch {
		case !filepath.IsAbs(path):
			b.add(at, "", "found %s, want an absolute path such as /var/lib/nagios", quote(path))
		case filepath.Clean(path) == "/":
			b.add(at, "name the folders that the programs need", "the folder / would open everything to every program")
		}
		out = append(out, filepath.Clean(path))
	}
	return out
}

// overlap reports whether one of the two folders is the other, or below it.
func overlap(a, b string) bool {
	return strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/")
}

// programsEnv checks the variables that every program gets: never a credential.
func (b *builder) programsEnv(given []string) {
	for i, name := range given {
		at := b.at(fmt.Sprintf("programs.env.%d", i))
		const instead = "give it to the check that needs it: with: {secret_env: {NAME: {env: …}}}"
		switch {
		case !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`).MatchString(name):
			b.add(at, "", "found %s, want the name of an environment variable", quote(name))
		case b.variables[name]:
			b.add(at, instead, "the variable %s holds a credential of this file, which every program would get", quote(name))
		case credentialName(name):
			b.add(at, instead, "the name %s sounds like a credential, which every program would get", quote(name))
		case name == "CREDENTIALS_DIRECTORY":
			b.add(at, instead, "the variable %s leads every program to the agent's credentials", quote(name))
		default:
			b.cfg.Programs.Env = append(b.cfg.Programs.Env, name)
		}
	}
}
