"""The virtual board: boot a build's flash image on an emulated lx106."""
