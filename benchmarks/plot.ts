import * as echarts from 'echarts'
import type { Growth, Spread } from './measure.ts'
import { bound, isMet, type Target } from './targets.ts'

/** One ratio, and what it has to reach. */
export interface Bar {
  what: string
  spread: Spread
  target?: Target
}

/** All are as easy to see on white as on black. */
const GREY = '#7a7a7a'
const FAINT = '#7a7a7a40'
const MET = '#1f9254'
const MISSED = '#d2601a'
const BLUE = '#3b82c4'

const WIDTH = 900
const axisLine = { lineStyle: { color: GREY } }
const axisLabel = { color: GREY, fontSize: 12 }
const splitLine = { lineStyle: { color: FAINT } }

/**
 * Ratios one below the other on a logarithmic scale: the median as a dot, a line from the least to
 * the greatest, and a grey mark where the target is. 1 is as fast as the other.
 */
export function ratioPlot(bars: Bar[]): string {
  const colours = bars.map(colourOf)
  const lines = { axisTick: { show: false }, axisLine: { show: false }, inverse: true }
  const text = { ...axisLabel, width: 395, overflow: 'break' as const }
  return draw(bars.length * 30 + 60, {
    grid: { left: 405, right: 150, top: 10, bottom: 45 },
    xAxis: {
      type: 'log',
      logBase: 2,
      name: 'ours ÷ the other; the mark is the target',
      nameLocation: 'middle',
      nameGap: 26,
      nameTextStyle: axisLabel,
      axisLabel,
      splitLine,
    },
    yAxis: [
      { type: 'category', data: bars.map(bar => bar.what), ...lines, axisLabel: text },
      {
        type: 'category',
        position: 'right',
        data: bars.map(labelOf),
        ...lines,
        axisLabel: { ...axisLabel, color: (_, at) => colours[at ?? 0]! },
      },
    ],
    series: [
      rules(
        bars.map(({ spread }) => [spread.min, spread.max]),
        colours,
      ),
      { type: 'scatter', data: marks(bars), symbol: 'rect', symbolSize: [3, 18], color: GREY },
      {
        type: 'scatter',
        symbolSize: 10,
        itemStyle: { opacity: 1 },
        data: bars.map(({ spread }, at) => ({
          value: [spread.median, at],
          itemStyle: { color: colours[at]! },
        })),
        markLine: {
          silent: true,
          symbol: 'none',
          label: { show: false },
          lineStyle: { color: GREY, type: 'dashed' },
          data: [{ xAxis: 1 }],
        },
      },
    ],
  })
}

/** The growth of each with the number, side by side, each on a scale of its own that begins at 0. */
export function growthPlot(growths: Growth[]): string {
  const columns = 3
  const width = WIDTH / columns
  const height = 210
  const at = (index: number) => ({
    left: (index % columns) * width + 55,
    top: Math.floor(index / columns) * height + 40,
  })
  return draw(Math.ceil(growths.length / columns) * height, {
    title: growths.map(({ what, unit }, index) => ({
      text: `${what}, ${unit}`,
      left: at(index).left - 40,
      top: at(index).top - 34,
      textStyle: { ...axisLabel, fontWeight: 'normal' },
    })),
    grid: growths.map((_, index) => ({ ...at(index), width: width - 80, height: height - 80 })),
    xAxis: growths.map(({ sizes }, gridIndex) => ({
      type: 'category',
      data: sizes.map(size => size.toLocaleString('en', { notation: 'compact' })),
      gridIndex,
      axisLine,
      axisLabel: { ...axisLabel, interval: 0 },
    })),
    yAxis: growths.map((_, gridIndex) => ({
      type: 'value',
      min: 0,
      gridIndex,
      splitNumber: 3,
      axisLabel,
      splitLine,
    })),
    series: growths.map(({ figures }, index) => ({
      type: 'line',
      data: figures,
      xAxisIndex: index,
      yAxisIndex: index,
      symbolSize: 7,
      color: BLUE,
    })),
  })
}

function draw(height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  try {
    chart.setOption({ animation: false, backgroundColor: 'transparent', ...option })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}

function colourOf({ spread, target }: Bar): string {
  if (!target) return BLUE
  return isMet(target, spread.median) ? MET : MISSED
}

function labelOf({ spread, target }: Bar): string {
  return `${spread.median.toFixed(2)}${target ? ` (${bound(target)})` : ''}`
}

function marks(bars: Bar[]): [x: number, y: number][] {
  return bars.flatMap(({ target }, at): [number, number][] =>
    target ? [[(target.least ?? target.most)!, at]] : [],
  )
}

/** A horizontal line on each row. */
function rules(spans: [from: number, to: number][], colours: string[]): echarts.CustomSeriesOption {
  return {
    type: 'custom',
    data: spans.map(([from, to], at) => [from, to, at]),
    encode: { x: [0, 1], y: 2 },
    renderItem: ({ dataIndex }, api) => {
      const [x1, y1] = api.coord([api.value(0), api.value(2)])
      const [x2, y2] = api.coord([api.value(1), api.value(2)])
      const style = { stroke: colours[dataIndex]!, lineWidth: 3 }
      return { type: 'line', shape: { x1: x1!, y1: y1!, x2: x2!, y2: y2! }, style }
    },
  }
}
