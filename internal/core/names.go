package core

import "strings"

// CheckName is the function [CheckName] with the session's records.
func (s *Session) CheckName(name string) error {
	if s == nil {
		return Invalid("no session")
	}
	return CheckName(name, s.opt.RecordPrefix)
}

// CheckName returns [gateway.ErrInvalid] for names that a recipe with settings must not use. These
// are the names that [Session.CheckLineName] rejects, and names that end in a slash, because the
// members of a lock "a/" have the same prefix as the settings of a recipe "a".
func CheckName(name, recordPrefix string) error {
	if err := checkLineName(name, recordPrefix); err != nil {
		return err
	}
	if strings.HasSuffix(name, "/") {
		return Invalid(
			"the name %q ends in a slash, which only names of locks and elections may", name)
	}
	return nil
}

// CheckLineName returns [gateway.ErrInvalid] for names that no recipe may use: an empty name, a
// name with two slashes in a row, and a name among the records. A name may end in a slash, as names
// of clientv3 often do.
func (s *Session) CheckLineName(name string) error {
	if s == nil {
		return Invalid("no session")
	}
	return checkLineName(name, s.opt.RecordPrefix)
}

func checkLineName(name, recordPrefix string) error {
	switch {
	case name == "":
		return Invalid("an empty name")
	case strings.Contains(name, "//"): // the settings of the name before it
		return Invalid("the name %q has two slashes in a row", name)
	case strings.HasPrefix(name+"/", recordPrefix):
		return Invalid("the name %q lies among the session records", name)
	}
	return nil
}
