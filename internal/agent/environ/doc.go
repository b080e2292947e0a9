// Package environ says what the environment of a container is: it resolves env,
// envFrom, references to fields, resources, ConfigMaps, Secrets and files, adds
// the variables of services, and expands $(VAR) in values, commands and subPaths.
//
// All is a function of its inputs. The objects come from agent/objects, files from
// agent/volume; errors are texts for a container's waiting state, whose reason
// (CreateContainerConfigError) is the caller's to set.
package environ
