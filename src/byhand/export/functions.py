"""The C functions that float32 programs call, one for each kind of op: the equations of `ops`, for one image.

`FUNCTIONS` has their texts by name, in the order in which they go into a file. Images are (height, width, channels), weights
of a convolution (filters, rows, columns, depth), of a linear layer (outputs, inputs): what is summed up lies together.
"""

from byhand.export.lower import CURVES, PAIRS, REDUCED

WINDOW = """\
/* A window that moves over an image: its size, and the steps between its places and between its places on the image. */
struct window {
    int height, width, channels;            /* of the image */
    int rows, columns;                      /* of the window */
    int down, across;                       /* stride */
    int apart_down, apart_across;           /* dilation */
    int top, bottom, left, right;           /* padding */
    int groups;
    int out_height, out_width, out_channels;
};
"""

AXES = """\
/* How far apart the numbers of two arrays lie along four axes; 0 repeats one. */
struct axes {
    int sizes[4], a[4], b[4];
};
"""

CLAMP = """\
static float clamp(float v, float low, float high)
{
    return v < low ? low : v > high ? high : v;
}
"""

PIXELS = """\
/* x = (pixel / 255 - mean) / std, with a mean and a std for each of `kinds` channels, or one for all */
static void scale_pixels(const unsigned char *image, int count, int kinds, const float *mean, const float *std, float *x)
{
    for (int i = 0; i < count; i++)
        x[i] = ((float)image[i] / 255.0f - mean[i % kinds]) / std[i % kinds];
}
"""

CONV2D = """\
/* y[i, j, k] = bias[k] + the sum over r, s, c of x[p, q, c] * weight[k, r, s, c], where
   p = i * down - top + r * apart_down and q = j * across - left + s * apart_across; what is outside the image is 0 */
static void conv2d(const struct window *v, const float *x, const float *weight, const float *bias, float low, float high,
                   float *y)
{
    const int depth = v->channels / v->groups, filters = v->out_channels / v->groups;
    for (int i = 0; i < v->out_height; i++)
        for (int j = 0; j < v->out_width; j++)
            for (int k = 0; k < v->out_channels; k++) {
                float sum = bias[k];
                for (int r = 0; r < v->rows; r++) {
                    const int p = i * v->down - v->top + r * v->apart_down;
                    if (p < 0 || p >= v->height)
                        continue;
                    for (int s = 0; s < v->columns; s++) {
                        const int q = j * v->across - v->left + s * v->apart_across;
                        if (q < 0 || q >= v->width)
                            continue;
                        const float *seen = x + (p * v->width + q) * v->channels + k / filters * depth;
                        const float *filter = weight + ((k * v->rows + r) * v->columns + s) * depth;
                        for (int c = 0; c < depth; c++)
                            sum += seen[c] * filter[c];
                    }
                }
                *y++ = clamp(sum, low, high);
            }
}
"""

LINEAR = """\
/* y[k] = bias[k] + the sum over d of x[d] * weight[k, d], for each of the rows of x */
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
/* y[i, j, c] = the largest x[p, q, c] of a window; what is outside the image never wins */
static void max_pool(const struct window *v, const float *x, float *y)
{
    for (int i = 0; i < v->out_height; i++)
        for (int j = 0; j < v->out_width; j++)
            for (int c = 0; c < v->channels; c++) {
                float best = -INFINITY;
                for (int r = 0; r < v->rows; r++)
                    for (int s = 0; s < v->columns; s++) {
                        const int p = i * v->down - v->top + r * v->apart_down;
                        const int q = j * v->across - v->left + s * v->apart_across;
                        if (p < 0 || p >= v->height || q < 0 || q >= v->width)
                            continue;
                        if (x[(p * v->width + q) * v->channels + c] > best)
                            best = x[(p * v->width + q) * v->channels + c];
                    }
                *y++ = best;
            }
}
"""

AVG_POOL = """\
/* y[i, j, c] = the mean of x[p, q, c] over a window; where `padded`, the zeros of the padding count as pixels */
static void avg_pool(const struct window *v, int padded, const float *x, float *y)
{
    for (int i = 0; i < v->out_height; i++)
        for (int j = 0; j < v->out_width; j++)
            for (int c = 0; c < v->channels; c++) {
                float sum = 0.0f;
                int count = 0;
                for (int r = 0; r < v->rows; r++)
                    for (int s = 0; s < v->columns; s++) {
                        const int p = i * v->down - v->top + r, q = j * v->across - v->left + s;
                        if (p >= 0 && p < v->height && q >= 0 && q < v->width) {
                            sum += x[(p * v->width + q) * v->channels + c];
                            count++;
                        } else if (padded && p < v->height + v->bottom && q < v->width + v->right)
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
/* y[k] = e^x[k] / the sum of all e^x, for each of the rows of x; the largest is taken away first, so that none overflows */
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
/* y = gamma * (x - mean) / sqrt(variance + eps) + beta, mean and variance those of each row of x */
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
/* y = x, number by number, from places that lie `a` apart to places that lie `b` apart */
static void copy(const struct axes *v, const float *x, float *y)
{
    for (int i = 0; i < v->sizes[0]; i++)
        for (int j = 0; j < v->sizes[1]; j++)
            for (int k = 0; k < v->sizes[2]; k++)
                for (int l = 0; l < v->sizes[3]; l++)
                    y[i * v->b[0] + j * v->b[1] + k * v->b[2] + l * v->b[3]] =
                        x[i * v->a[0] + j * v->a[1] + k * v->a[2] + l * v->a[3]];
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
/* y[i, j, c] = the sum over pixels p of rows[i] and q of columns[j] of their weights times x[p, q, c] */
static void resize(int width, int channels, int out_height, int out_width, int tall, const int16_t *rows, const float *down,
                   int wide, const int16_t *columns, const float *across, const float *x, float *y)
{
    for (int i = 0; i < out_height; i++)
        for (int j = 0; j < out_width; j++)
            for (int c = 0; c < channels; c++) {
                float sum = 0.0f;
                for (int r = i * tall; r < (i + 1) * tall; r++)
                    for (int s = j * wide; s < (j + 1) * wide; s++)
                        sum += down[r] * across[s] * x[(rows[r] * width + columns[s]) * channels + c];
                *y++ = sum;
            }
}
"""

CURVE = """\
static void apply_{name}(int count, const float *x{more}, float *y)
{{
    for (int i = 0; i < count; i++)
        y[i] = {formula};
}}
"""
# the formula, and the attributes that it takes
FORMULAS = {
    "leaky_relu": ("x[i] > 0.0f ? x[i] : slope * x[i]", ("slope",)),
    "sigmoid": ("1.0f / (1.0f + expf(-x[i]))", ()),
    "tanh": ("tanhf(x[i])", ()),
    "silu": ("x[i] / (1.0f + expf(-x[i]))", ()),
    "gelu": ("x[i] * (1.0f + erff(x[i] * 0.70710678f)) / 2.0f", ()),
    "hard_sigmoid": ("clamp(alpha * x[i] + beta, 0.0f, 1.0f)", ("alpha", "beta")),
    "hard_swish": ("x[i] * clamp(x[i] + 3.0f, 0.0f, 6.0f) / 6.0f", ()),
    "softplus": ("(x[i] < 0.0f ? 0.0f : x[i]) + log1pf(expf(-fabsf(x[i])))", ()),
    "softsign": ("x[i] / (1.0f + fabsf(x[i]))", ()),
    "elu": ("x[i] > 0.0f ? x[i] : alpha * expm1f(x[i])", ("alpha",)),
    "selu": ("gamma * (x[i] > 0.0f ? x[i] : alpha * expm1f(x[i]))", ("alpha", "gamma")),
    "celu": ("x[i] > 0.0f ? x[i] : alpha * expm1f(x[i] / alpha)", ("alpha",)),
    "neg": ("-x[i]", ()),
    "abs": ("fabsf(x[i])", ()),
    "sqrt": ("sqrtf(x[i])", ()),
    "exp": ("expf(x[i])", ()),
    "log": ("logf(x[i])", ()),
    "erf": ("erff(x[i])", ()),
    "reciprocal": ("1.0f / x[i]", ()),
}

PAIR = """\
static void {name}(const struct axes *v, const float *x, const float *with, float low, float high, float *y)
{{
    for (int i = 0; i < v->sizes[0]; i++)
        for (int j = 0; j < v->sizes[1]; j++)
            for (int k = 0; k < v->sizes[2]; k++)
                for (int l = 0; l < v->sizes[3]; l++) {{
                    const float a = x[i * v->a[0] + j * v->a[1] + k * v->a[2] + l * v->a[3]];
                    const float b = with[i * v->b[0] + j * v->b[1] + k * v->b[2] + l * v->b[3]];
                    *y++ = clamp({formula}, low, high);
                }}
}}
"""
PAIRED = {
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
/* x (outer, count, inner): `count` numbers become one */
static void {name}(int outer, int count, int inner, const float *x, float *y)
{{
    for (int i = 0; i < outer; i++, x += count * inner)
        for (int j = 0; j < inner; j++) {{
            float total = {start};
            for (int k = 0; k < count; k++) {{
                const float v = x[k * inner + j];
                total = {combine};
            }}
            *y++ = {finish};
        }}
}}
"""
REDUCTIONS = {  # where it starts, how a number is taken in, what is done at the end
    "reduce_sum": ("0.0f", "total + v", "total"),
    "reduce_mean": ("0.0f", "total + v", "total / (float)count"),
    "reduce_max": ("-INFINITY", "v > total ? v : total", "total"),
    "reduce_min": ("INFINITY", "v < total ? v : total", "total"),
    "reduce_prod": ("1.0f", "total * v", "total"),
    "reduce_l1": ("0.0f", "total + fabsf(v)", "total"),
    "reduce_l2": ("0.0f", "total + v * v", "sqrtf(total)"),
}

FUNCTIONS = {
    "window": WINDOW,
    "axes": AXES,
    "clamp": CLAMP,
    "scale_pixels": PIXELS,
    "conv2d": CONV2D,
    "linear": LINEAR,
    "max_pool": MAX_POOL,
    "avg_pool": AVG_POOL,
    "global_avg_pool": GLOBAL_AVG_POOL,
    "layer_norm": LAYER_NORM,
    "lrn": LRN,
    "clip": CLIP,
    **{
        f"apply_{name}": CURVE.format(
            name=name, formula=FORMULAS[name][0], more="".join(f", float {a}" for a in FORMULAS[name][1])
        )
        for name in CURVES
    },
    **{name: PAIR.format(name=name, formula=PAIRED[name]) for name in PAIRS},
    **{
        name: REDUCE.format(name=name, **dict(zip(("start", "combine", "finish"), REDUCTIONS[name])))
        for name in REDUCED
    },
    "copy": COPY,
    "fill": FILL,
    "resize": RESIZE,
    "softmax": SOFTMAX,
}
