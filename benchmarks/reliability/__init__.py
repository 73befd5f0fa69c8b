"""A campaign against the project that stays: kills, damage, full disks, hostile files, wrong words, races."""
