"""The JPEG round trip of libjpeg, in integers: baseline, 4:2:0 chroma, standard tables.

The forward and inverse transforms are libjpeg's "slow integer" ones. Each is a product with a matrix of 13-bit
fixed-point numbers along the rows and one along the columns, with a single rounding after each, which float64 holds
without error. So are the colour conversions, the box-filtered chroma with alternating rounding, and the triangle filter
("fancy upsampling") on the way back. Entropy coding loses nothing and is left out.

Sources: ITU-T T.81 (1992) annex K for the tables; Loeffler, Ligtenberg & Moschytz, 1989, for the transform; libjpeg 6b
(Independent JPEG Group) for the roundings.
"""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import pad

LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99, 99, 99, 99, 99, 99, 99, 99)] * 4,
)

# sqrt(8) times the orthonormal cosine transform, in units of 2^-13. Entries of one size differ in the last digit
# because libjpeg adds them up from rounded constants.
TRANSFORM = (
    (8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363),
    (10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703),
    (9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633),
    (8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437),
    (4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433),
    (2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260),
)


def quantisation_table(table: tuple[tuple[int, ...], ...], quality: int) -> Float[Tensor, "8 8"]:
    """A standard table at a quality of 1..100, whole numbers in 1..255."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(table) * scale + 50) // 100).clamp(1, 255).double()


def round_trip(images: UInt8[Tensor, "n c h w"], quality: int) -> UInt8[Tensor, "n c h w"]:
    """Compress and decompress.

    Args:
        images: images with one channel (gray) or three (red, green, blue), at least 5 pixels wide.
        quality: 1..100 as libjpeg understands it.
    """
    if images.shape[1] == 1:
        return _quantise(images.double(), quantisation_table(LUMA_TABLE, quality)).to(torch.uint8)
    height, width = images.shape[-2:]
    colours = _to_ycc(images.long()).double()
    chroma_table = quantisation_table(CHROMA_TABLE, quality)
    luma = _quantise(colours[:, :1], quantisation_table(LUMA_TABLE, quality))
    chroma = _quantise(_halve(colours[:, 1:]), chroma_table)[..., : (width + 1) // 2]
    chroma = _enlarge(chroma)[:, :, :height, :width]
    return _to_rgb(torch.cat([luma, chroma], dim=1).long()).to(torch.uint8)


def _quantise(plane: Float[Tensor, "n c h w"], table: Float[Tensor, "8 8"]) -> Float[Tensor, "n c h w"]:
    """What quantisation leaves of planes of levels 0..255; the last pixel repeats to fill whole blocks."""
    height, width = plane.shape[-2:]
    table = table.to(plane.device)
    blocks = _blocks(pad(plane, (0, -width % 8, 0, -height % 8), mode="replicate") - 128)
    forward = torch.tensor(TRANSFORM, dtype=torch.float64, device=plane.device)
    rows = _shift(blocks @ forward.T, 11)
    coefficients = _shift(forward @ rows, 15)
    steps = torch.floor((coefficients.abs() + 4 * table) / (8 * table)) * coefficients.sign()
    columns = _shift(forward.T @ (steps * table), 11)
    levels = _shift(columns @ forward, 18) + 128
    return _plane(levels.clamp(0, 255))[:, :, :height, :width]


def _shift(values: Float[Tensor, "*shape"], bits: int) -> Float[Tensor, "*shape"]:
    """Divide whole numbers by ``2^bits`` and round; halves go up."""
    return torch.floor((values + 2.0 ** (bits - 1)) * 2.0**-bits)


def _blocks(plane: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c rows columns 8 8"]:
    return plane.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4).contiguous()


def _plane(blocks: Float[Tensor, "n c rows columns 8 8"]) -> Float[Tensor, "n c h w"]:
    return blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)


def _to_ycc(rgb: Int[Tensor, "n 3 h w"]) -> Int[Tensor, "n 3 h w"]:
    """Luma and chroma, 16-bit fixed point."""
    r, g, b = rgb.unbind(1)
    middle = (128 << 16) + 32767
    return torch.stack(
        [
            (19595 * r + 38470 * g + 7471 * b + 32768) >> 16,
            (-11059 * r - 21709 * g + 32768 * b + middle) >> 16,
            (32768 * r - 27439 * g - 5329 * b + middle) >> 16,
        ],
        dim=1,
    )


def _to_rgb(ycc: Int[Tensor, "n 3 h w"]) -> Int[Tensor, "n 3 h w"]:
    """The way back, 16-bit fixed point."""
    y, cb, cr = ycc.unbind(1)
    cb, cr = cb - 128, cr - 128
    red = y + ((91881 * cr + 32768) >> 16)
    green = y + ((-22554 * cb - 46802 * cr + 32768) >> 16)
    blue = y + ((116130 * cb + 32768) >> 16)
    return torch.stack([red, green, blue], dim=1).clamp(0, 255)


def _halve(chroma: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c half_h half_w"]:
    """Means of 2x2 pixels, to whole blocks in width; halves are rounded down in even columns and up in odd ones."""
    height, width = chroma.shape[-2:]
    chroma = pad(chroma, (0, -width % 16, 0, height % 2), mode="replicate")
    total = chroma[:, :, ::2] + chroma[:, :, 1::2]
    total = total[..., ::2] + total[..., 1::2]
    bias = torch.arange(total.shape[-1], device=chroma.device) % 2 + 1
    return torch.floor((total + bias) / 4)


def _enlarge(chroma: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c double_h double_w"]:
    """Twice the size by a triangle filter: 3/4 of the nearer pixel and 1/4 of the farther one, in both directions."""
    padded = pad(chroma, (0, 0, 1, 1), mode="replicate")
    near = 3 * padded[:, :, 1:-1]
    tall = torch.stack([near + padded[:, :, :-2], near + padded[:, :, 2:]], dim=3).flatten(2, 3)
    padded = pad(tall, (1, 1, 0, 0), mode="replicate")
    near = 3 * padded[..., 1:-1]
    return torch.stack(
        [torch.floor((near + padded[..., :-2] + 8) / 16), torch.floor((near + padded[..., 2:] + 7) / 16)], dim=4
    ).flatten(3, 4)
