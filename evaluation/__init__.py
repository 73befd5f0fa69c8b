"""How the robustness table is made: networks, training, attacks, production."""
