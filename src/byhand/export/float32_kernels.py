"""The C functions that float32 programs call, one for each kind of op: the equations of `ops`, for one image.

`FUNCTIONS` has their texts by name, in the order of the file. Images are (height, width, channels), weights of a convolution
(filters, rows, columns, depth), weights of a linear layer (outputs, inputs): the terms of one sum are adjacent.
"""

from typing import NamedTuple

from byhand.export.lowering import BINARY_OPS, ELEMENTWISE_OPS, REDUCE_OPS

WINDOW = """\
/* The window of a convolution or a pooling, in pixels. */
struct window {
    int height, width, channels;            /* of the input */
    int rows, columns;                      /* of the window */
    int stride_y, stride_x;
    int dilation_y, dilation_x;
    int top, bottom, left, right;           /* padding */
    int groups;
    int out_height, out_width, out_channels;
};
"""

STRIDES = """\
/* Sizes of four axes, and the strides of two arrays a and b along them, in elements; 0 repeats an element. */
struct strides {
    int sizes[4], a[4], b[4];
};
"""

CLAMP = """\
static float clamp(float v, float low, float high)
{
    return v < low ? low : v > high ? high : v;
}
"""

SCALE_PIXELS = """\
/* x = (pixel / 255 - mean) / std, mean and std for each of `channels` channels; 1: for all of them */
static void scale_pixels(const unsigned char *image, int count, int channels, const float *mean, const float *std, float *x)
{
    for (int i = 0; i < count; i++)
        x[i] = ((float)image[i] / 255.0f - mean[i % channels]) / std[i % channels];
}
"""

CONV2D = """\
/* y[i, j, k] = bias[k] + the sum over r, s, c of x[p, q, c] * weight[k, r, s, c], where
   p = i * stride_y - top + r * dilation_y and q = j * stride_x - left + s * dilation_x; pixels outside the image are 0 */
static void conv2d(const struct window *w, const float *x, const float *weight, const float *bias, float low, float high,
                   float *y)
{
    const int depth = w->channels / w->groups, filters = w->out_channels / w->groups;
    for (int i = 0; i < w->out_height; i++)
        for (int j = 0; j < w->out_width; j++)
            for (int k = 0; k < w->out_channels; k++) {
                float sum = bias[k];
                for (int r = 0; r < w->rows; r++) {
                    const int p = i * w->stride_y - w->top + r * w->dilation_y;
                    if (p < 0 || p >= w->height)
                        continue;
                    for (int s = 0; s < w->columns; s++) {
                        const int q = j * w->stride_x - w->left + s * w->dilation_x;
                        if (q < 0 || q >= w->width)
                            continue;
                        const float *seen = x + (p * w->width + q) * w->channels + k / filters * depth;
                        const float *filter = weight + ((k * w->rows + r) * w->columns + s) * depth;
                        for (int c = 0; c < depth; c++)
                            sum += seen[c] * filter[c];
                    }
                }
                *y++ = clamp(sum, low, high);
            }
}
"""

LINEAR = """\
/* y[k] = bias[k] + the sum over d of x[d] * weight[k, d], for each row of x */
static void linear(int rows, int inputs, int outputs, const float *x, const float *weight, const float *bias, float low,
                   float high, float *y)
{
    for (int n = 0; n < rows; n++)
        for (int k = 0; k < outputs; k++) {
            float sum = bias[k];
            for (int d = 0; d < inputs; d++)
                sum += x[n * inputs + d] * weight[k * inputs + d];
            *y++ = clamp(sum, low, high);
        }
}
"""

MAX_POOL = """\
/* y[i, j, c] = the maximum of x[p, q, c] over a window; pixels outside the image are skipped */
static void max_pool(const struct window *w, const float *x, float *y)
{
    for (int i = 0; i < w->out_height; i++)
        for (int j = 0; j < w->out_width; j++)
            for (int c = 0; c < w->channels; c++) {
                float best = -INFINITY;
                for (int r = 0; r < w->rows; r++)
                    for (int s = 0; s < w->columns; s++) {
                        const int p = i * w->stride_y - w->top + r * w->dilation_y;
                        const int q = j * w->stride_x - w->left + s * w->dilation_x;
                        if (p < 0 || p >= w->height || q < 0 || q >= w->width)
                            continue;
                        if (x[(p * w->width + q) * w->channels + c] > best)
                            best = x[(p * w->width + q) * w->channels + c];
                    }
                *y++ = best;
            }
}
"""

AVG_POOL = """\
/* y[i, j, c] = the mean of x[p, q, c] over a window; include_pad: padding counts as pixels of value 0 */
static void avg_pool(const struct window *w, int include_pad, const float *x, float *y)
{
    for (int i = 0; i < w->out_height; i++)
        for (int j = 0; j < w->out_width; j++)
            for (int c = 0; c < w->channels; c++) {
                float sum = 0.0f;
                int count = 0;
                for (int r = 0; r < w->rows; r++)
                    for (int s = 0; s < w->columns; s++) {
                        const int p = i * w->stride_y - w->top + r, q = j * w->stride_x - w->left + s;
                        if (p >= 0 && p < w->height && q >= 0 && q < w->width) {
                            sum += x[(p * w->width + q) * w->channels + c];
                            count++;
                        } else if (include_pad && p < w->height + w->bottom && q < w->width + w->right)
                            count++;
                    }
                *y++ = sum / (float)(count > 1 ? count : 1);
            }
}
"""

GLOBAL_AVG_POOL = """\
/* y[c] = the mean of x[i, c] over all pixels */
static void global_avg_pool(int pixels, int channels, const float *x, float *y)
{
    for (int c = 0; c < channels; c++) {
        float sum = 0.0f;
        for (int i = 0; i < pixels; i++)
            sum += x[i * channels + c];
        y[c] = sum / (float)pixels;
    }
}
"""

CLIP = """\
static void clip(int count, const float *x, float low, float high, float *y)
{
    for (int i = 0; i < count; i++)
        y[i] = clamp(x[i], low, high);
}
"""

SOFTMAX = """\
/* y[k] = e^x[k] / the sum of all e^x, for each row of x; the maximum is subtracted first, against overflow */
static void softmax(int rows, int size, const float *x, float *y)
{
    for (int n = 0; n < rows; n++, x += size, y += size) {
        float largest = x[0], sum = 0.0f;
        for (int k = 1; k < size; k++)
            largest = x[k] > largest ? x[k] : largest;
        for (int k = 0; k < size; k++) {
            y[k] = expf(x[k] - largest);
            sum += y[k];
        }
        for (int k = 0; k < size; k++)
            y[k] /= sum;
    }
}
"""

LAYER_NORM = """\
/* y = gamma * (x - mean) / sqrt(variance + eps) + beta, mean and variance of each row of x */
static void layer_norm(int rows, int size, const float *x, const float *gamma, const float *beta, float eps, float *y)
{
    for (int n = 0; n < rows; n++, x += size, y += size) {
        float mean = 0.0f, variance = 0.0f;
        for (int d = 0; d < size; d++)
            mean += x[d];
        mean /= (float)size;
        for (int d = 0; d < size; d++)
            variance += (x[d] - mean) * (x[d] - mean);
        const float inv_std = 1.0f / sqrtf(variance / (float)size + eps);
        for (int d = 0; d < size; d++)
            y[d] = gamma[d] * (x[d] - mean) * inv_std + beta[d];
    }
}
"""

LRN = """\
/* y[c] = x[c] / (bias + alpha / size * the sum of x^2 over `size` channels around c) ^ beta */
static void lrn(int pixels, int channels, int size, float alpha, float beta, float bias, const float *x, float *y)
{
    for (int i = 0; i < pixels; i++, x += channels)
        for (int c = 0; c < channels; c++) {
            float sum = 0.0f;
            for (int k = c - (size - 1) / 2; k < c - (size - 1) / 2 + size; k++)
                if (k >= 0 && k < channels)
                    sum += x[k] * x[k];
            *y++ = x[c] / powf(bias + alpha / (float)size * sum, beta);
        }
}
"""

COPY = """\
/* y = x, from elements with strides a to elements with strides b */
static void copy(const struct strides *s, const float *x, float *y)
{
    for (int i = 0; i < s->sizes[0]; i++)
        for (int j = 0; j < s->sizes[1]; j++)
            for (int k = 0; k < s->sizes[2]; k++)
                for (int l = 0; l < s->sizes[3]; l++)
                    y[i * s->b[0] + j * s->b[1] + k * s->b[2] + l * s->b[3]] =
                        x[i * s->a[0] + j * s->a[1] + k * s->a[2] + l * s->a[3]];
}
"""

FILL = """\
static void fill(int count, float value, float *y)
{
    for (int i = 0; i < count; i++)
        y[i] = value;
}
"""

RESIZE = """\
/* y[i, j, c] = the sum of x[p, q, c] over the taps p of row i and q of column j, times the weights of both */
static void resize(int width, int channels, int out_height, int out_width,
                   int row_taps, const int16_t *rows, const float *row_weights,
                   int column_taps, const int16_t *columns, const float *column_weights, const float *x, float *y)
{
    for (int i = 0; i < out_height; i++)
        for (int j = 0; j < out_width; j++)
            for (int c = 0; c < channels; c++) {
                float sum = 0.0f;
                for (int r = i * row_taps; r < (i + 1) * row_taps; r++)
                    for (int s = j * column_taps; s < (j + 1) * column_taps; s++)
                        sum += row_weights[r] * column_weights[s] * x[(rows[r] * width + columns[s]) * channels + c];
                *y++ = sum;
            }
}
"""

ELEMENTWISE = """\
static void apply_{name}(int count, const float *x{parameters}, float *y)
{{
    for (int i = 0; i < count; i++)
        y[i] = {formula};
}}
"""


class Formula(NamedTuple):
    """The C expression of an elementwise op of x[i], and the attributes that it takes."""

    expression: str
    parameters: tuple[str, ...] = ()


ELEMENTWISE_FORMULAS = {
    "leaky_relu": Formula("x[i] > 0.0f ? x[i] : slope * x[i]", ("slope",)),
    "sigmoid": Formula("1.0f / (1.0f + expf(-x[i]))"),
    "tanh": Formula("tanhf(x[i])"),
    "silu": Formula("x[i] / (1.0f + expf(-x[i]))"),
    "gelu": Formula("x[i] * (1.0f + erff(x[i] * 0.70710678f)) / 2.0f"),
    "hard_sigmoid": Formula("clamp(alpha * x[i] + beta, 0.0f, 1.0f)", ("alpha", "beta")),
    "hard_swish": Formula("x[i] * clamp(x[i] + 3.0f, 0.0f, 6.0f) / 6.0f"),
    "softplus": Formula("(x[i] < 0.0f ? 0.0f : x[i]) + log1pf(expf(-fabsf(x[i])))"),
    "softsign": Formula("x[i] / (1.0f + fabsf(x[i]))"),
    "elu": Formula("x[i] > 0.0f ? x[i] : alpha * expm1f(x[i])", ("alpha",)),
    "selu": Formula("gamma * (x[i] > 0.0f ? x[i] : alpha * expm1f(x[i]))", ("alpha", "gamma")),
    "celu": Formula("x[i] > 0.0f ? x[i] : alpha * expm1f(x[i] / alpha)", ("alpha",)),
    "neg": Formula("-x[i]"),
    "abs": Formula("fabsf(x[i])"),
    "sqrt": Formula("sqrtf(x[i])"),
    "exp": Formula("expf(x[i])"),
    "log": Formula("logf(x[i])"),
    "erf": Formula("erff(x[i])"),
    "reciprocal": Formula("1.0f / x[i]"),
}


def _elementwise_function(op: str) -> str:
    formula = ELEMENTWISE_FORMULAS[op]
    parameters = "".join(f", float {name}" for name in formula.parameters)
    return ELEMENTWISE.format(name=op, parameters=parameters, formula=formula.expression)


BINARY = """\
static void {name}(const struct strides *s, const float *x, const float *other, float low, float high, float *y)
{{
    for (int i = 0; i < s->sizes[0]; i++)
        for (int j = 0; j < s->sizes[1]; j++)
            for (int k = 0; k < s->sizes[2]; k++)
                for (int l = 0; l < s->sizes[3]; l++) {{
                    const float a = x[i * s->a[0] + j * s->a[1] + k * s->a[2] + l * s->a[3]];
                    const float b = other[i * s->b[0] + j * s->b[1] + k * s->b[2] + l * s->b[3]];
                    *y++ = clamp({formula}, low, high);
                }}
}}
"""
BINARY_FORMULAS = {
    "add": "a + b",
    "subtract": "a - b",
    "multiply": "a * b",
    "divide": "a / b",
    "maximum": "a > b ? a : b",
    "minimum": "a < b ? a : b",
    "power": "powf(a, b)",
    "prelu": "a > 0.0f ? a : a * b",
}

REDUCE = """\
/* x (outer, count, inner) -> y (outer, inner): reduces over `count` */
static void {name}(int outer, int count, int inner, const float *x, float *y)
{{
    for (int i = 0; i < outer; i++, x += count * inner)
        for (int j = 0; j < inner; j++) {{
            float total = {initial};
            for (int k = 0; k < count; k++) {{
                const float v = x[k * inner + j];
                total = {combine};
            }}
            *y++ = {result};
        }}
}}
"""


class Reduction(NamedTuple):
    """The C expressions of a reduction: initial total, total with element v, result."""

    initial: str
    combine: str
    result: str = "total"


REDUCTIONS = {
    "reduce_sum": Reduction("0.0f", "total + v"),
    "reduce_mean": Reduction("0.0f", "total + v", "total / (float)count"),
    "reduce_max": Reduction("-INFINITY", "v > total ? v : total"),
    "reduce_min": Reduction("INFINITY", "v < total ? v : total"),
    "reduce_prod": Reduction("1.0f", "total * v"),
    "reduce_l1": Reduction("0.0f", "total + fabsf(v)"),
    "reduce_l2": Reduction("0.0f", "total + v * v", "sqrtf(total)"),
}

FUNCTIONS = {
    "window": WINDOW,
    "strides": STRIDES,
    "clamp": CLAMP,
    "scale_pixels": SCALE_PIXELS,
    "conv2d": CONV2D,
    "linear": LINEAR,
    "max_pool": MAX_POOL,
    "avg_pool": AVG_POOL,
    "global_avg_pool": GLOBAL_AVG_POOL,
    "layer_norm": LAYER_NORM,
    "lrn": LRN,
    "clip": CLIP,
    **{f"apply_{op}": _elementwise_function(op) for op in ELEMENTWISE_OPS},
    **{op: BINARY.format(name=op, formula=BINARY_FORMULAS[op]) for op in BINARY_OPS},
    **{op: REDUCE.format(name=op, **REDUCTIONS[op]._asdict()) for op in REDUCE_OPS},
    "copy": COPY,
    "fill": FILL,
    "resize": RESIZE,
    "softmax": SOFTMAX,
}
