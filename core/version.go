package core

// programVersion is set by the release build, and by nobody else.
var programVersion = "0.1.0-dev"

// ProgramVersion is frond's own version. Level is another thing: the version of
// nats-server whose protocols are complete here.
func ProgramVersion() string { return programVersion }

// VersionText says both, in the words of -v and of the log.
func VersionText() string { return programVersion + " (nats-server level " + Level + ")" }
